"""What the OCM classification scripts share: their flags beyond the common ones, and whether to run once or compare."""

from dataclasses import replace

from ocm_tf.errors import UserError
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.ocm_classification_config import COSTS, VARIANTS, dominant_choices, for_dataset
from ocm_tf.experiments.run_series import changed, in_comparison, make_compared, report, run_once, with_variant
from ocm_tf.experiments.series_flags import add_comparison_flags, chosen, refuse_series_flags, seeds_of
from ocm_tf.experiments.settings import parse_arguments

_RUNS = "ocm_tf.experiments.ocm_classification"


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
        arguments = changed(arguments, {"dominant": dominant})
    if extras.compare or all_dominant:
        if extras.variant is not None:
            raise UserError("a comparison runs all variants; it does not go with --variant, but --only names some")
        choices = dominant_choices(arguments.config.dataset) if all_dominant else ()
        return report(*compare(in_comparison(arguments, "methods"), seeds_of(arguments), extras.only, choices))
    refuse_series_flags(extras)
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, VARIANTS[extras.variant])
    return run_once(arguments, _RUNS)


def compare(arguments, seeds, only=None, dominants=(), say=print):
    """Runs every variant over several seeds and dominant tasks; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `ClassificationConfig`.
        seeds: the seeds.
        only: names of `VARIANTS` to run; None runs all.
        dominants: the dominant tasks, over which the table averages; none leaves that of the settings.
        say: called with one line of text now and then.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    # As a run records them, so that a finished one is known again.
    arguments = replace(arguments, config=for_dataset(arguments.config))
    compared = chosen("variant", only, VARIANTS)
    if dominants:
        compared = {
            f"{name}-dominant{dominant}": {**changes, "dominant": dominant}
            for dominant in dominants
            for name, changes in compared.items()
        }
    failures = make_compared(arguments, seeds, compared, _RUNS, say)
    paths, _ = draw_comparison(arguments.output, list(VARIANTS))
    return paths, failures


def _add_flags(parser):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="Dynamic-OCM, a single OCM component, a classifier with a reservoir, one without memory, or our own "
        "choice dynamic-best (default: dynamic-ocm)",
    )
    text = "run every variant, and draw a table and a figure"
    add_comparison_flags(parser, ("methods",), text, default="methods", only=f"some of {', '.join(VARIANTS)}")


def _add_dominant_flags(parser):
    parser.add_argument("--dominant", type=int, metavar="TASK", help="the task with most images (default: 1)")
    parser.add_argument(
        "--all-dominant",
        action="store_true",
        help="compare with each of the paper's five dominant tasks and average over them",
    )
