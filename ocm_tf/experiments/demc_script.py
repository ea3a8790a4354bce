"""What the DEMC scripts share: their flags beyond the common ones, whether to run once, compare or study."""

import dataclasses

from ocm_tf.errors import UserError
from ocm_tf.experiments.demc_config import COSTS, MEMORIES, PATHS, VARIANTS
from ocm_tf.experiments.generation_comparison import draw_generation_comparison
from ocm_tf.experiments.run_series import in_comparison, in_studies, make_compared, report, with_variant
from ocm_tf.experiments.settings import parse_arguments, parse_seed, unknown
from ocm_tf.quiet import import_tensorflow

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
        if extras.variant is not None:
            raise UserError("--compare names what is compared by --only; it does not go with --variant")
        known = KINDS[extras.compare]
        compared = {name: known[name] for name in _known("variant", extras.only or known, known)}
        arguments = in_comparison(arguments, extras.compare)
        return report(*compare(arguments, extras.seeds or [arguments.seed], compared, order=known))
    if extras.seeds is not None or extras.only is not None:
        raise UserError("--seeds and --only go with --compare; a single run takes --seed")
    if extras.variant is not None:
        arguments = with_variant(arguments, extras.variant, VARIANTS[extras.variant])
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    from ocm_tf.experiments.demc import run

    run(arguments)
    return 0


def compare(arguments, seeds, compared, say=print, order=None):
    """Makes the compared runs over several seeds; skips what is finished, resumes what is not.

    Args:
        arguments: `Arguments` whose config is a `DEMCConfig`; a setting named on the command line wins.
        seeds: the seeds.
        compared: `{label: changes to the settings}`.
        say: called with one line of text now and then.
        order: labels in the order of the table; None takes `compared`.

    Returns:
        paths: list of the table and the figure.
        failures: `{name of the run: message}`.
    """
    settings = {label: {**changes, **arguments.changes} for label, changes in compared.items()}
    failures = make_compared(arguments, seeds, settings, "ocm_tf.experiments.demc", say)
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

    def extend(parser):
        parser.add_argument(
            "--study", nargs="+", default=names, metavar="NAME", help=f"what to vary, of: {', '.join(names)} (all)"
        )
        parser.add_argument("--seeds", type=parse_seed, nargs="+", metavar="N", help="the seeds (default: --seed)")

    arguments = parse_arguments(
        argv, script=script, description=description, presets=presets, costs=COSTS, extend=extend
    )
    arguments = in_studies(arguments)
    studies, status = studies_of(arguments.config), 0
    for name in _known("study", arguments.extras.study, studies):
        of_study = dataclasses.replace(arguments, output=arguments.output / name)
        taken = set(arguments.changes).intersection(*(changes for changes in studies[name].values()))
        if taken:
            raise UserError(f"study {name} varies {sorted(taken)[0]}, so it cannot be set; choose other studies")
        status |= report(*compare(of_study, arguments.extras.seeds or [arguments.seed], studies[name]))
    return status


def _known(kind, names, known):
    """Returns the names; raises `UserError` for one that is not known."""
    for name in names:
        if name not in known:
            raise UserError(unknown(kind, name, known))
    return names


def _add_flags(parser):
    parser.add_argument(
        "--variant",
        choices=VARIANTS,
        help="another memory, or other updates of the networks (default: demc)",
    )
    parser.add_argument(
        "--compare",
        nargs="?",
        const="memories",
        choices=KINDS,
        help="run every memory, or every way to update the networks, and draw a table and a figure; skips what is "
        "finished and resumes what is not (default: memories)",
    )
    parser.add_argument(
        "--seeds", type=parse_seed, nargs="+", metavar="N", help="with --compare: the seeds (default: --seed)"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="with --compare: some of its names")
