"""What the scripts on generative latent replay share: one run, a comparison of methods, the ablation studies."""

from ocm_tf.errors import UserError
from ocm_tf.experiments.glr_comparison import draw_comparison
from ocm_tf.experiments.glr_config import COMPARED, METHODS
from ocm_tf.experiments.glr_studies import DESCRIPTIONS, STUDIES
from ocm_tf.experiments.run_series import (
    in_comparison,
    in_studies,
    make_compared,
    report,
    report_failures,
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


def main(script, description, presets, costs, argv=None):
    """Runs a script that makes one run, or compares the methods.

    Args:
        script: its name.
        description: what `--help` says of it.
        presets: `{name: GLRConfig}`.
        costs: `{name: one line on what the preset costs}`.
        argv: the command line; None takes the process' own.

    Returns:
        the exit status, 1 if a run of a comparison failed.
    """
    texts = {"script": script, "description": description, "costs": costs}
    arguments = parse_arguments(argv, presets=presets, extend=_add_flags, **texts)
    extras = arguments.extras
    if extras.compare:
        refuse_variant(extras, "--method")
        compared = chosen("label", extras.only, COMPARED)
        return report(*compare(in_comparison(arguments, "methods"), seeds_of(arguments), compared, order=COMPARED))
    refuse_series_flags(extras)
    if extras.method is not None:
        arguments = with_variant(arguments, extras.method.replace("_", "-"), {"method": extras.method})
    return run_once(arguments, "ocm_tf.experiments.glr")


def ablations(script, description, presets, costs, argv=None):
    """Runs the script of the ablation studies; arguments and result as for `main`."""
    lines = "\n".join(f"  {name}: {DESCRIPTIONS[name]}" for name in STUDIES)
    arguments = parse_arguments(
        argv,
        script=script,
        description=f"{description}\nstudies:\n{lines}",
        presets=presets,
        costs=costs,
        extend=lambda parser: add_study_flags(parser, STUDIES),
    )
    # All at once, so that a study that cannot be made is told before hours of others.
    studies = {name: of(arguments.config) for name, of in chosen("study", arguments.extras.study, STUDIES).items()}
    return run_studies(in_studies(arguments), studies, seeds_of(arguments), compare)


def compare(arguments, seeds, compared, say=print, order=None):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Each run is a run directory `<label>-seed<k>` of its own below `arguments.output`; the table and the figures are
    made from these alone. A run that fails does not stop the others.

    Args:
        arguments: `Arguments` whose config is a `GLRConfig`.
        seeds: the seeds.
        compared: `{label: changes to the settings}`.
        say: called with one line of text now and then.
        order: labels in the order of the table, in which runs made before may have others; None takes `compared`.

    Returns:
        paths: list of the table and the figures.
        failures: `{name of the run: message}`.
    """
    failures = make_compared(arguments, seeds, compared, "ocm_tf.experiments.glr", say)
    if len(failures) == len(seeds) * len(compared):
        report_failures(failures)
        raise UserError("no run could be made")
    paths, _ = draw_comparison(arguments.output, list(compared if order is None else order))
    return paths, failures


def _add_flags(parser):
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="how it learns, the same as --set method=NAME (default: generative_latent_replay)",
    )
    text = "run every method, replay with several sizes, GLR also as in the authors' code, and draw a table and figures"
    add_comparison_flags(parser, ("methods",), text, default="methods", only=f"some of {', '.join(COMPARED)}")
