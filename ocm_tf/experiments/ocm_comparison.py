"""The comparison of OCM's memory rules: the same stream and model, what is remembered alone differs."""

import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.quiet import import_tensorflow

RULES = {
    "newest batch only": {"memory": "newest"},
    "short-term only": {"memory": "short_term"},
    "similar": {"selection": "similar"},
    "dissimilar": {"selection": "dissimilar", "transfer_threshold": None},
    "random": {"selection": "random"},
    "reservoir": {"memory": "reservoir"},
}
"""Memory rules as changes to the settings, from no memory to a uniform sample of the stream."""

_REFILLED = {"when_full": "reservoir", "order": "transfer_first"}

DOMAIN_RULES = {
    **RULES,
    "similar refilled": {"selection": "similar", **_REFILLED},
    "random refilled": {"selection": "random", **_REFILLED},
}
"""Rules for long streams: a long-term memory that stops at its limit never sees later domains, a refilled one does."""


def labels(only=None, rules=RULES):
    """Returns `{label: changes}`: every rule with a single model and with one that grows.

    Args:
        only: names of rules to keep; None keeps all.
        rules: `RULES` or `DOMAIN_RULES`.

    Raises:
        UserError: if a name is no rule.
    """
    unknown = set(only or ()) - set(rules)
    if unknown:
        raise UserError(f"unknown rule {sorted(unknown)[0]!r}; rules: {', '.join(rules)}")
    rules = {name: changes for name, changes in rules.items() if only is None or name in only}
    single = {_slug(name): {**changes, "dynamic": False} for name, changes in rules.items()}
    dynamic = {f"dynamic-{_slug(name)}": {**changes, "dynamic": True} for name, changes in rules.items()}
    return single | dynamic


def compare(arguments, seeds, only=None, say=print, rules=RULES):
    """Runs every memory rule, single and dynamic, over several seeds; skips what is finished, resumes what is not.

    Each run is a run directory `<label>-seed<k>` of its own below `arguments.output`; the table and the figure are made
    from their results alone.

    Args:
        arguments: `Arguments` whose config is an `OCMConfig`.
        seeds: the seeds.
        only: names of rules to run; None runs all.
        say: called with one line of text now and then.
        rules: `RULES` or `DOMAIN_RULES`.

    Returns:
        Paths of the table and the figure.
    """
    # TensorFlow takes seconds to import; a wrong label should not.
    tf = import_tensorflow(arguments.threads)
    # Each run's model is traced once, which TensorFlow takes for one model traced again and again.
    tf.get_logger().setLevel("ERROR")
    from ocm_tf.experiments.ocm import run

    runs = [(label, changes, seed) for seed in seeds for label, changes in labels(only, rules).items()]
    for number, (label, changes, seed) in enumerate(runs, 1):
        output = arguments.output / f"{label}-seed{seed}"
        if (output / "results.json").exists() and not arguments.overwrite:
            say(f"[{number}/{len(runs)}] {output.name}: finished before")
            continue
        say(f"[{number}/{len(runs)}] {output.name}")
        config = dataclasses.replace(arguments.config, **changes)
        run(
            dataclasses.replace(
                arguments,
                config=config,
                seed=seed,
                output=output,
                resume=not arguments.overwrite,
                changes={**arguments.changes, **changes},
            ),
            say,
        )
    paths, _ = draw_comparison(arguments.output, list(labels(rules=rules)))
    return paths


def _slug(name):
    return name.replace(" ", "-")
