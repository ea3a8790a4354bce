"""The ablation studies of the OCM supplement, run as a series."""

import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.ablation_plots import draw_schedule, draw_studies
from ocm_tf.experiments.ocm_studies import SCALED, STUDIES, describe_studies
from ocm_tf.experiments.run_series import in_studies, make_runs, report_failures, varied
from ocm_tf.experiments.series_flags import add_study_flags, chosen, seeds_of
from ocm_tf.experiments.settings import parse_arguments
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
    known = {**STUDIES, SCHEDULE: None}
    arguments = parse_arguments(
        argv,
        script=script,
        description=f"{description}\n{describe_studies(presets)}",
        presets=presets,
        costs=costs,
        extend=lambda parser: add_study_flags(parser, known),
        mirrored=True,
    )
    names = chosen("study", arguments.extras.study, known)
    arguments = in_studies(arguments)
    paths, failures = [], {}
    if SCHEDULE in names:
        paths += draw_schedule(arguments.output)
    studies = [STUDIES[name] for name in names if name != SCHEDULE]
    if studies:
        failures = run_studies(arguments, studies, seeds_of(arguments))
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
        if study.setting in arguments.named and study.setting not in SCALED:
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
