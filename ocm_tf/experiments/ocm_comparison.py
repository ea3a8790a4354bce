"""Comparisons of many runs on one stream: of memory rules, where what is remembered alone differs, and of methods."""

from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.ocm_config import VARIANTS, variant_changes
from ocm_tf.experiments.run_series import make_compared
from ocm_tf.experiments.series_flags import chosen

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


def compared_rules(rules=RULES, only=None):
    """Returns `{label: changes}`: every rule with a single model and with one that grows.

    Args:
        rules: `RULES` or `DOMAIN_RULES`.
        only: names of rules to keep; None keeps all.

    Raises:
        UserError: if a name is no rule.
    """
    rules = chosen("rule", only, rules)
    single = {_slug(name): {**changes, "dynamic": False} for name, changes in rules.items()}
    dynamic = {f"dynamic-{_slug(name)}": {**changes, "dynamic": True} for name, changes in rules.items()}
    return single | dynamic


def compared_methods(config, only=None):
    """Returns `{name: changes}`: every variant as changes to the settings.

    Args:
        config: `OCMConfig`.
        only: names of variants to keep; None keeps all.

    Raises:
        UserError: if a name is no variant.
    """
    return {name: variant_changes(name, config) for name in chosen("method", only, VARIANTS)}


def compare(arguments, seeds, compared, say=print, order=None):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Each run is a run directory `<label>-seed<k>` of its own below `arguments.output`; the table and the figure are made
    from their results alone. A run that fails does not stop the others.

    Args:
        arguments: `Arguments` whose config is an `OCMConfig`.
        seeds: the seeds.
        compared: `{label: changes to the settings}`.
        say: called with one line of text now and then.
        order: labels in the order of the table, in which runs made before may have others; None takes `compared`.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    failures = make_compared(arguments, seeds, compared, "ocm_tf.experiments.ocm", say)
    paths, _ = draw_comparison(arguments.output, list(compared if order is None else order))
    return paths, failures


def _slug(name):
    return name.replace(" ", "-")
