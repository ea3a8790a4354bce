"""What the OCM scripts share: their flags beyond the common ones, and whether to run once or compare."""

from ocm_tf.experiments.ocm_comparison import RULES, compare, compared_methods, compared_rules
from ocm_tf.experiments.ocm_config import VARIANTS, variant_changes
from ocm_tf.experiments.run_series import changed, in_comparison, report, run_once, with_variant
from ocm_tf.experiments.series_flags import add_comparison_flags, refuse_series_flags, refuse_variant, seeds_of
from ocm_tf.experiments.settings import parse_arguments


def main(script, description, presets, costs, argv=None, rules=RULES):
    """Runs an OCM script.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: OCMConfig}`.
        costs: `{name: one line on what the preset costs}`.
        argv: the command line; None takes the process' own.
        rules: what `--compare rules` compares.

    Returns:
        the exit status, 1 if a run of a comparison failed.
    """

    def extend(parser):
        _add_flags(parser, rules)

    texts = {"script": script, "description": description, "costs": costs}
    arguments = parse_arguments(argv, presets=presets, extend=extend, mirrored=True, **texts)
    extras = arguments.extras
    if extras.inception_weights is not None:
        arguments = changed(arguments, {"image_metrics": True, "inception_weights": extras.inception_weights})
    if extras.compare:
        return _compare(arguments, extras, rules)
    refuse_series_flags(extras)
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, variant_changes(extras.variant, arguments.config))
    return run_once(arguments, "ocm_tf.experiments.ocm")


def _compare(arguments, extras, rules):
    refuse_variant(extras)
    if extras.compare == "methods":
        compared, order = compared_methods(arguments.config, extras.only), VARIANTS
    else:
        compared, order = compared_rules(rules, extras.only), compared_rules(rules)
    return report(*compare(in_comparison(arguments, extras.compare), seeds_of(arguments), compared, order=order))


def _add_flags(parser, rules):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="a method of the paper's tables, a reservoir, our own choice best, or joint training (default: "
        "dynamic-elbo-ocm)",
    )
    parser.add_argument(
        "--inception-weights",
        metavar="PATH",
        help="the same as --set image_metrics=true inception_weights=PATH",
    )
    text = "run every memory rule, single and dynamic, or every --variant, and draw a table and a figure"
    only = f"some of {', '.join(rules)}, or of the variants"
    add_comparison_flags(parser, ("rules", "methods"), text, default="rules", only=only)
