"""What the Mnemonics scripts share: their flags beyond the common ones, and whether to run once or compare."""

import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.mnemonics_comparison import draw_incremental_comparison
from ocm_tf.experiments.mnemonics_config import COMPARISONS, COSTS, STUDIES
from ocm_tf.experiments.run_series import in_comparison, make_compared, report
from ocm_tf.experiments.settings import parse_arguments, parse_seed, unknown
from ocm_tf.quiet import import_tensorflow


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
        compared = _chosen("label", extras.only, COMPARISONS[extras.compare])
        arguments, seeds = in_comparison(arguments, extras.compare), extras.seeds or [arguments.seed]
        return report(*compare(arguments, seeds, compared, list(COMPARISONS[extras.compare])))
    if extras.seeds is not None or extras.only is not None:
        raise UserError("--seeds and --only go with --compare; a single run takes --seed")
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.mnemonics import run

    run(arguments)
    return 0


def main_ablations(script, description, presets, argv=None):
    """Runs the script of the ablation studies; arguments and result as for `main`."""
    lines = [f"  {name}: {', '.join(study)}" for name, study in STUDIES.items()]
    arguments = parse_arguments(
        argv,
        script=script,
        description="\n".join([description, "studies and what they compare:", *lines]),
        presets=presets,
        costs=COSTS,
        extend=_add_study_flags,
    )
    arguments = in_comparison(arguments, "studies")
    studies = _chosen("study", arguments.extras.study, STUDIES)
    seeds, paths, failures = arguments.extras.seeds or [arguments.seed], [], {}
    for name, compared in studies.items():
        of_study = dataclasses.replace(arguments, output=arguments.output / name)
        study_paths, study_failures = compare(of_study, seeds, compared, list(compared))
        paths, failures = paths + study_paths, failures | study_failures
    return report(paths, failures)


def compare(arguments, seeds, compared, order, say=print):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `MnemonicsConfig`.
        seeds: the seeds, the same for all, so that differences are of pairs.
        compared: `{label: changes to the settings}`.
        order: labels in the order of the table, the baseline first.
        say: called with one line of text now and then.

    Returns:
        paths: list of the files drawn.
        failures: `{name of the run: message}`.
    """
    settings = {label: {**changes, **arguments.changes} for label, changes in compared.items()}
    failures = make_compared(arguments, seeds, settings, "ocm_tf.experiments.mnemonics", say)
    paths, _ = draw_incremental_comparison(arguments.output, order)
    return paths, failures


def _chosen(kind, names, known):
    for name in names or ():
        if name not in known:
            raise UserError(unknown(kind, name, known))
    return {name: value for name, value in known.items() if not names or name in names}


def _add_flags(parser):
    parser.add_argument(
        "--compare",
        choices=COMPARISONS,
        help="run several methods, kinds of exemplars, or these with and without weight transfer, and draw tables and "
        "figures; skips what is finished and resumes what is not",
    )
    parser.add_argument(
        "--seeds", type=parse_seed, nargs="+", metavar="N", help="with --compare: the seeds (default: --seed)"
    )
    parser.add_argument("--only", nargs="+", metavar="LABEL", help="with --compare: some of its labels")


def _add_study_flags(parser):
    parser.add_argument("--study", nargs="+", metavar="NAME", help=f"of: {', '.join(STUDIES)} (default: all)")
    parser.add_argument("--seeds", type=parse_seed, nargs="+", metavar="N", help="the seeds (default: --seed)")
