"""The card of a run's model: what it saw, how well it does, what it keeps of its training images."""

import json

# Settings that the first lines of a card already say.
_SAID = ("dataset",)


def model_card(config, results):
    """Composes the card of a model from the files of its run.

    Args:
        config: content of `config.json`.
        results: content of `results.json`.

    Returns:
        Markdown text.
    """
    paper = {name: value for name, value in results["paper"].items() if value is not None}
    lines = [
        f"# Model of {config['script']}, preset {config['preset']}, seed {config['seed']}",
        "",
        "## What it saw",
        "",
        f"- data set: {config['dataset']} ({config['data_source']})",
        f"- command: `{config['command']}`",
        f"- code: version {config['versions']['ocm_tf']}, commit {_commit(config['git'])}",
        f"- made: {config['started']}, {results['wall_seconds']:,.0f} seconds on {config['device']}, "
        f"Python {config['versions']['python']}, TensorFlow {config['versions']['tensorflow']}, "
        f"Keras {config['versions']['keras']}",
    ]
    if config["changes"]:
        changes = ", ".join(f"{name}={value}" for name, value in config["changes"].items())
        lines.append(f"- departs from its preset in: {changes}")
    lines += ["", "## What it keeps", ""]
    lines += [_memory_line(results)]
    if results["num_components"] is not None:
        lines.append(f"- {results['num_components']} component(s)")
    lines += ["", "## How well it does", "", "| metric | value | paper, at its scale |", "|---|---:|---:|"]
    for name, value in results["metrics"].items():
        lines.append(f"| {name} | {_number(value)} | {_number(paper.get(name))} |")
    lines += ["", "## How to use it", "", "```python", "import ocm_tf", "", 'model = ocm_tf.load_model("model.keras")']
    lines += ["```", "", "## All settings", "", "| setting | value |", "|---|---|"]
    lines += [f"| {name} | {json.dumps(value)} |" for name, value in config["settings"].items() if name not in _SAID]
    return "\n".join(lines) + "\n"


def _commit(git):
    if not git or not git.get("commit"):
        return "unknown"
    return git["commit"][:12] + (", with uncommitted changes" if git.get("dirty") else "")


def _memory_line(results):
    samples, num_bytes = results["memory_samples"], results["memory_bytes"]
    size = "" if num_bytes is None else f"{num_bytes:,} bytes"
    if samples:
        return (
            f"- **{samples:,} training samples** ({size}) lie in the model file; whoever has it can read them. Most "
            "kinds of model have `without_memory()`, which returns one without them."
        )
    if num_bytes:
        return f"- no training sample; {size} of other state, such as generators"
    return "- nothing of its training images but the weights"


def _number(value):
    return "–" if value is None else f"{value:.6g}"
