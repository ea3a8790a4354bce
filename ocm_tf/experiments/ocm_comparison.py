"""The comparison of OCM's memory rules: the same stream and model, what is remembered alone differs."""

from ocm_tf.errors import UserError
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.run_series import make_runs, varied
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
    from their results alone. A run that fails does not stop the others.

    Args:
        arguments: `Arguments` whose config is an `OCMConfig`.
        seeds: the seeds.
        only: names of rules to run; None runs all.
        say: called with one line of text now and then.
        rules: `RULES` or `DOMAIN_RULES`.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    changes_of = labels(only, rules)
    # TensorFlow takes seconds to import; a wrong label should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.ocm import run

    planned = [
        varied(arguments, f"{label}-seed{seed}", seed, changes)
        for seed in seeds
        for label, changes in changes_of.items()
    ]
    failures = make_runs(planned, run, say)
    paths, _ = draw_comparison(arguments.output, list(labels(rules=rules)))
    return paths, failures


def _slug(name):
    return name.replace(" ", "-")
