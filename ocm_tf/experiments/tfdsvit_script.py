"""What the TFDSViT scripts share: their flags beyond the common ones, and whether to run once, compare or study."""

from ocm_tf.errors import UserError
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.run_series import in_comparison, make_compared, report, run_once, with_variant
from ocm_tf.experiments.series_flags import add_comparison_flags, chosen, refuse_series_flags, seeds_of
from ocm_tf.experiments.settings import parse_arguments
from ocm_tf.experiments.tfdsvit_config import COSTS, PRESETS, VARIANTS
from ocm_tf.experiments.threshold_study import SCALES, draw_threshold_study, label_of

_RUNS = "ocm_tf.experiments.tfdsvit"


def main(script, description, stream, argv=None):
    """Runs a TFDSViT script.

    Args:
        script: its name.
        description: what `--help` says of it.
        stream: a key of `PRESETS`.
        argv: the command line; None takes the process' own.

    Returns:
        the exit status, 1 if a run of a comparison or study failed.
    """
    arguments = parse_arguments(
        argv, script=script, description=description, presets=PRESETS[stream], costs=COSTS, extend=_add_flags
    )
    extras = arguments.extras
    if extras.compare and extras.study:
        raise UserError("--compare and --study are two series of runs; choose one")
    seeds = seeds_of(arguments)
    if extras.compare or extras.study:
        if extras.variant is not None:
            raise UserError("a series of runs chooses the variants; it does not go with --variant, --only names some")
        return report(*(compare(arguments, seeds, extras.only) if extras.compare else study(arguments, seeds)))
    refuse_series_flags(extras, "--compare or --study")
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, VARIANTS[extras.variant])
    return run_once(arguments, _RUNS)


def compare(arguments, seeds, only=None, say=print):
    """Runs every variant over several seeds; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `TFDSViTConfig`.
        seeds: the seeds.
        only: names of `VARIANTS` to run; None runs all.
        say: called with one line of text now and then.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    arguments = in_comparison(arguments, "methods")
    failures = make_compared(arguments, seeds, chosen("variant", only, VARIANTS), _RUNS, say)
    return draw_comparison(arguments.output, list(VARIANTS))[0], failures


def study(arguments, seeds, say=print):
    """Runs the method with several factors on its threshold, over several seeds, as `compare` does.

    Args and returns: as for `compare`.

    Raises:
        UserError: if the settings name the factor, or expand otherwise than by energy.
    """
    if arguments.config.expansion != "energy":
        raise UserError("the study varies the threshold of expansion=energy; leave expansion as it is")
    arguments = in_comparison(arguments, "threshold")
    scaled = {label_of(scale): {"threshold_scale": scale} for scale in SCALES}
    failures = make_compared(arguments, seeds, scaled, _RUNS, say)
    return draw_threshold_study(arguments.output)[0], failures


def _add_flags(parser):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="TFDSViT, without transfer (no-kta), without freezing in a trunk (no-sparse), with Gumbel gates, grown by "
        "the clock (interval), or the same network fine-tuned without growth (default: as the settings say, tfdsvit)",
    )
    text = "run every variant, and draw a table and a figure"
    only = f"some of {', '.join(VARIANTS)}"
    add_comparison_flags(parser, ("methods",), text, default="methods", only=only, series="--compare or --study")
    parser.add_argument(
        "--study",
        choices=("threshold",),
        help=f"run the method with its threshold times {', '.join(f'{scale:g}' for scale in SCALES)}, and draw experts "
        "and accuracy against it; skips and resumes likewise",
    )
