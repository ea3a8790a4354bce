"""The ablation studies of the OCM supplement, run as a series."""

import argparse
import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.ablation_plots import draw_schedule, draw_studies
from ocm_tf.experiments.ocm_studies import SCALED, STUDIES, describe_studies
from ocm_tf.experiments.run_series import in_studies, make_runs, report_failures, varied
from ocm_tf.experiments.settings import parse_arguments, parse_seed, unknown
from ocm_tf.quiet import import_tensorflow

SCHEDULE = "schedule"


def main(script, description, presets, costs, argv=None):
    """Runs the script of the ablation studies.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: OCMConfig}`.
        costs: `{name: one line on what the preset costs}`.
        argv: the command line; None takes the process' own.

    Returns:
        the exit status, 1 if a run failed.
    """
    arguments = parse_arguments(
        argv,
        script=script,
        description=f"{description}\n{describe_studies(presets)}",
        presets=presets,
        costs=costs,
        extend=_add_flags,
        mirrored=True,
    )
    arguments = in_studies(arguments)
    names = arguments.extras.study
    paths, failures = [], {}
    if SCHEDULE in names:
        paths += draw_schedule(arguments.output)
    studies = [STUDIES[name] for name in names if name != SCHEDULE]
    if studies:
        failures = run_studies(arguments, studies, arguments.extras.seeds or [arguments.seed])
        paths, _ = draw_studies(arguments.output)
    for path in paths:
        print(path)
    return report_failures(failures)


def plan_studies(arguments, studies, seeds):
    """Lists the runs of studies, all studies with one seed before the next seed.

    Args:
        arguments: `Arguments` whose config is an `OCMConfig`. A setting they change wins over that of a study; one
            that keeps its ratio to the default sets the scale of the study that varies it.
        studies: list of `Study`.
        seeds: the seeds.

    Returns:
        list of `Arguments`, one for each run, of output `<output>/<study>/<study>=<published value>-seed<k>`.

    Raises:
        UserError: if the arguments set what a study varies.
    """
    for study in studies:
        if study.setting in arguments.changes and study.setting not in SCALED:
            raise UserError(f"study {study.name} varies {study.setting}, so it cannot be set; choose other studies")
    return [
        varied(
            dataclasses.replace(arguments, output=arguments.output / study.name),
            f"{study.label(point.x)}-seed{seed}",
            seed,
            study.changes(point.x, arguments.config, arguments.changes),
        )
        for seed in seeds
        for study in studies
        for point in study.points
    ]


def run_studies(arguments, studies, seeds, say=print):
    """Makes the runs of studies; skips what is finished, resumes what is not, and goes on where one fails.

    Args:
        arguments, studies, seeds: as for `plan_studies`.
        say: called with one line of text now and then.

    Returns:
        `{name of the run: message}` of those that failed.
    """
    planned = plan_studies(arguments, studies, seeds)
    # TensorFlow takes seconds to import; a mistake in the settings should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.ocm import run

    return make_runs(planned, run, say)


def _add_flags(parser):
    names = [*STUDIES, SCHEDULE]
    parser.add_argument(
        "--study",
        type=_study_name,
        nargs="+",
        default=names,
        metavar="NAME",
        help=f"what to do, of: {', '.join(names)} (default: all)",
    )
    parser.add_argument("--seeds", type=parse_seed, nargs="+", metavar="N", help="the seeds (default: --seed)")


def _study_name(name):
    if name not in STUDIES and name != SCHEDULE:
        raise argparse.ArgumentTypeError(unknown("study", name, [*STUDIES, SCHEDULE]))
    return name
