"""What the Mnemonics scripts share: their flags beyond the common ones, and whether to run once or compare."""

from ocm_tf.experiments.mnemonics_comparison import draw_incremental_comparison
from ocm_tf.experiments.mnemonics_config import COMPARISONS, COSTS, STUDIES
from ocm_tf.experiments.run_series import in_comparison, in_studies, make_compared, report, run_once, run_studies
from ocm_tf.experiments.series_flags import (
    add_comparison_flags,
    add_study_flags,
    chosen,
    refuse_series_flags,
    seeds_of,
)
from ocm_tf.experiments.settings import parse_arguments


def main(script, description, presets, argv=None):
    """Runs a Mnemonics script.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: MnemonicsConfig}`.
        argv: the command line; None takes the process' own.

    Returns:
        the exit status, 1 if a run of a comparison failed.
    """
    arguments = parse_arguments(
        argv, script=script, description=description, presets=presets, costs=COSTS, extend=_add_flags
    )
    extras = arguments.extras
    if extras.compare is not None:
        known = COMPARISONS[extras.compare]
        compared = chosen("label", extras.only, known)
        return report(*compare(in_comparison(arguments, extras.compare), seeds_of(arguments), compared, order=known))
    refuse_series_flags(extras)
    return run_once(arguments, "ocm_tf.experiments.mnemonics")


def main_ablations(script, description, presets, argv=None):
    """Runs the script of the ablation studies; arguments and result as for `main`."""
    lines = [f"  {name}: {', '.join(study)}" for name, study in STUDIES.items()]
    arguments = parse_arguments(
        argv,
        script=script,
        description="\n".join([description, "studies and what they compare:", *lines]),
        presets=presets,
        costs=COSTS,
        extend=lambda parser: add_study_flags(parser, STUDIES),
    )
    studies = chosen("study", arguments.extras.study, STUDIES)
    return run_studies(in_studies(arguments), studies, seeds_of(arguments), compare)


def compare(arguments, seeds, compared, say=print, order=None):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `MnemonicsConfig`.
        seeds: the seeds, the same for all, so that differences are of pairs.
        compared: `{label: changes to the settings}`.
        say: called with one line of text now and then.
        order: labels in the order of the table, the baseline first; None takes `compared`.

    Returns:
        paths: list of the files drawn.
        failures: `{name of the run: message}`.
    """
    failures = make_compared(arguments, seeds, compared, "ocm_tf.experiments.mnemonics", say)
    paths, _ = draw_incremental_comparison(arguments.output, list(order or compared))
    return paths, failures


def _add_flags(parser):
    text = "run several methods, kinds of exemplars, or these with and without weight transfer, and draw the results"
    add_comparison_flags(parser, COMPARISONS, text)
