"""What the OCM classification scripts share: their flags beyond the common ones, and whether to run once or compare."""

import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.ocm_classification_config import COSTS, VARIANTS, dominant_choices
from ocm_tf.experiments.run_series import in_comparison, make_runs, report, varied, with_variant
from ocm_tf.experiments.settings import parse_arguments, parse_seed
from ocm_tf.quiet import import_tensorflow


def main(script, description, presets, argv=None, imbalanced=False):
    """Runs an OCM classification script.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: ClassificationConfig}`.
        argv: the command line; None takes the process' own.
        imbalanced: whether the stream has a dominant task, which adds flags to choose it.

    Returns:
        the exit status, 1 if a run of a comparison failed.
    """

    def extend(parser):
        _add_flags(parser)
        if imbalanced:
            _add_dominant_flags(parser)

    arguments = parse_arguments(
        argv, script=script, description=description, presets=presets, costs=COSTS, extend=extend, mirrored=True
    )
    extras = arguments.extras
    # The balanced script has no such flags.
    dominant, all_dominant = getattr(extras, "dominant", None), getattr(extras, "all_dominant", False)
    if dominant is not None:
        if all_dominant:
            raise UserError("--all-dominant runs all choices; it does not go with --dominant")
        arguments = _with_dominant(arguments, dominant)
    if extras.compare or all_dominant:
        if extras.variant is not None:
            raise UserError("a comparison runs all variants; it does not go with --variant, but --only names some")
        choices = dominant_choices(arguments.config.dataset) if all_dominant else [None]
        seeds = extras.seeds or [arguments.seed]
        return report(*compare(in_comparison(arguments, "methods"), seeds, extras.only, choices))
    if extras.seeds is not None or extras.only is not None:
        raise UserError("--seeds and --only go with --compare; a single run takes --seed")
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, VARIANTS[extras.variant])
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.ocm_classification import run

    run(arguments)
    return 0


def compare(arguments, seeds, only=None, dominants=(None,), say=print):
    """Runs every variant over several seeds and dominant tasks; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `ClassificationConfig`.
        seeds: the seeds.
        only: names of `VARIANTS` to run; None runs all.
        dominants: the dominant tasks, over which the table averages; None leaves that of the settings.
        say: called with one line of text now and then.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    planned = [
        _planned(arguments, name, seed, dominant)
        for seed in seeds
        for dominant in dominants
        for name in (only or VARIANTS)
    ]
    # TensorFlow takes seconds to import; settings that do not fit together should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.ocm_classification import run

    failures = make_runs(planned, run, say)
    paths, _ = draw_comparison(arguments.output, list(VARIANTS))
    return paths, failures


def _planned(arguments, name, seed, dominant):
    """Returns the `Arguments` of one run of a comparison."""
    if dominant is None:
        return varied(arguments, f"{name}-seed{seed}", seed, VARIANTS[name])
    return varied(arguments, f"{name}-dominant{dominant}-seed{seed}", seed, {**VARIANTS[name], "dominant": dominant})


def _with_dominant(arguments, dominant):
    try:
        config = dataclasses.replace(arguments.config, dominant=dominant)
    except ValueError as error:
        raise UserError(str(error)) from error
    return dataclasses.replace(arguments, config=config, changes={**arguments.changes, "dominant": dominant})


def _add_flags(parser):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="Dynamic-OCM, a single OCM component, a classifier with a reservoir, or one without memory (default: "
        "dynamic-ocm)",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="run every variant, and draw a table and a figure; skips what is finished and resumes what is not",
    )
    parser.add_argument(
        "--seeds", type=parse_seed, nargs="+", metavar="N", help="with --compare: the seeds (default: --seed)"
    )
    parser.add_argument(
        "--only", nargs="+", choices=VARIANTS, metavar="VARIANT", help=f"with --compare: {', '.join(VARIANTS)}"
    )


def _add_dominant_flags(parser):
    parser.add_argument("--dominant", type=int, metavar="TASK", help="the task with most images (default: 1)")
    parser.add_argument(
        "--all-dominant",
        action="store_true",
        help="compare with each of the paper's five dominant tasks and average over them",
    )
