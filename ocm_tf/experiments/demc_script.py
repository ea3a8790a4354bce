"""What the DEMC scripts share: their flags beyond the common ones, whether to run once, compare or study."""

from ocm_tf.experiments.demc_config import COSTS, MEMORIES, PATHS, VARIANTS
from ocm_tf.experiments.generation_comparison import draw_generation_comparison
from ocm_tf.experiments.run_series import (
    in_comparison,
    in_studies,
    make_compared,
    report,
    run_once,
    run_studies,
    with_variant,
)
from ocm_tf.experiments.series_flags import (
    add_comparison_flags,
    add_study_flags,
    chosen,
    refuse_series_flags,
    refuse_variant,
    seeds_of,
)
from ocm_tf.experiments.settings import parse_arguments

KINDS = {"memories": MEMORIES, "paths": PATHS}


def main(script, description, presets, argv=None):
    """Runs a DEMC script.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: DEMCConfig}`.
        argv: the command line; None takes the process' own.

    Returns:
        the exit status, 1 if a run of a comparison failed.
    """
    arguments = parse_arguments(
        argv, script=script, description=description, presets=presets, costs=COSTS, extend=_add_flags
    )
    extras = arguments.extras
    if extras.compare:
        refuse_variant(extras)
        known = KINDS[extras.compare]
        compared = chosen("variant", extras.only, known)
        return report(*compare(in_comparison(arguments, extras.compare), seeds_of(arguments), compared, order=known))
    refuse_series_flags(extras)
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, VARIANTS[extras.variant])
    return run_once(arguments, "ocm_tf.experiments.demc")


def compare(arguments, seeds, compared, say=print, order=None):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `DEMCConfig`.
        seeds: the seeds.
        compared: `{label: changes to the settings}`.
        say: called with one line of text now and then.
        order: labels in the order of the table; None takes `compared`.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    failures = make_compared(arguments, seeds, compared, "ocm_tf.experiments.demc", say)
    paths, _ = draw_generation_comparison(arguments.output, list(order or compared))
    return paths, failures


# Studies --------------------------------------------------------------------------------------------------------------


def studies_of(config):
    """Returns the ablation studies of a preset, `{study: {label: changes}}`; sizes are halved and doubled.

    Args:
        config: `DEMCConfig`.
    """

    def each(name, values):
        return {f"{name}={value}": {name: value} for value in values}

    sizes = {}
    for name in ("temporary_capacity", "cluster_size"):
        value = getattr(config, name)
        sizes |= {f"{name}={size}": {name: size} for size in (value // 2, value, 2 * value)}
    calibrations = {f"threshold={name}": {"threshold": None, "calibration": name} for name in ("auto", "adaptive")}
    return {
        "paths": PATHS,
        "memory": {name: MEMORIES[name] for name in ("demc", "temporary-only", "reservoir")},
        "reduce": each("reduce", ("min", "max")),
        "statistics": each("statistics", ("refreshed", "stale")),
        "selection": each("selection", ("lowest_error", "highest_error", "random", "diverse")),
        "threshold": {**each("threshold", (0.05, 0.2, 0.45, 1.0)), **calibrations},
        "sizes": sizes,
    }


def main_of_studies(script, description, presets, argv=None):
    """Runs the script of the ablation studies.

    Args:
        script, description, presets, argv: as for `main`.

    Returns:
        the exit status, 1 if a run failed.
    """
    names = list(studies_of(next(iter(presets.values()))))
    arguments = parse_arguments(
        argv,
        script=script,
        description=description,
        presets=presets,
        costs=COSTS,
        extend=lambda parser: add_study_flags(parser, names),
    )
    studies = chosen("study", arguments.extras.study, studies_of(arguments.config))
    return run_studies(in_studies(arguments), studies, seeds_of(arguments), compare)


def _add_flags(parser):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="another memory, or other updates of the networks (default: demc)",
    )
    text = "run every memory, or every way to update the networks, and draw a table and a figure"
    add_comparison_flags(parser, KINDS, text, default="memories", only="some of its names")
