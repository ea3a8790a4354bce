"""What the scripts on generative latent replay share: one run, a comparison of methods, the ablation studies."""

import argparse
import dataclasses

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
    with_variant,
)
from ocm_tf.experiments.settings import parse_arguments, parse_seed, unknown
from ocm_tf.quiet import import_tensorflow


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
        if extras.method is not None:
            raise UserError("--compare names what is compared by --only; it does not go with --method")
        arguments = in_comparison(arguments, "methods")
        compared = {label: COMPARED[label] for label in extras.only or COMPARED}
        return report(*compare(arguments, extras.seeds or [arguments.seed], compared, order=COMPARED))
    if extras.seeds is not None or extras.only is not None:
        raise UserError("--seeds and --only go with --compare; a single run takes --seed")
    if extras.method is not None:
        arguments = with_variant(arguments, extras.method.replace("_", "-"), {"method": extras.method})
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.glr import run

    run(arguments)
    return 0


def ablations(script, description, presets, costs, argv=None):
    """Runs the script of the ablation studies; arguments and result as for `main`."""
    lines = "\n".join(f"  {name}: {DESCRIPTIONS[name]}" for name in STUDIES)
    arguments = parse_arguments(
        argv,
        script=script,
        description=f"{description}\nstudies:\n{lines}",
        presets=presets,
        costs=costs,
        extend=_add_study_flags,
    )
    extras = arguments.extras
    arguments = in_studies(arguments)
    # All at once, so that a study that cannot be made is told before hours of others.
    compared = {name: STUDIES[name](arguments.config) for name in extras.study}
    for name, settings in compared.items():
        _refuse_varied(name, settings, arguments.changes)
    status = 0
    for name, settings in compared.items():
        whole = dataclasses.replace(arguments, output=arguments.output / name)
        status |= report(*compare(whole, extras.seeds or [arguments.seed], settings))
    return status


def _refuse_varied(name, compared, changes):
    varied_settings = {setting for each in compared.values() for setting in each}
    taken = sorted(varied_settings & changes.keys())
    if taken:
        raise UserError(f"study {name} varies {taken[0]}, so it cannot be set; choose other studies")


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
    parser.add_argument(
        "--compare",
        nargs="?",
        const="methods",
        choices=("methods",),
        help="run every method, replay with several sizes, GLR also as in the authors' code, and draw a table and "
        "figures; skips what is finished and resumes what is not",
    )
    _add_seeds(parser, "with --compare: the seeds (default: --seed)")
    parser.add_argument(
        "--only", nargs="+", choices=COMPARED, metavar="LABEL", help=f"with --compare: some of {', '.join(COMPARED)}"
    )


def _add_study_flags(parser):
    parser.add_argument(
        "--study",
        type=_study_name,
        nargs="+",
        default=list(STUDIES),
        metavar="NAME",
        help=f"what to vary, of: {', '.join(STUDIES)} (default: all)",
    )
    _add_seeds(parser, "the seeds (default: --seed)")


def _add_seeds(parser, help):
    parser.add_argument("--seeds", type=parse_seed, nargs="+", metavar="N", help=help)


def _study_name(name):
    if name not in STUDIES:
        raise argparse.ArgumentTypeError(unknown("study", name, STUDIES))
    return name
