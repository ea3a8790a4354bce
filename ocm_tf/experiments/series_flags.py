"""Flags of scripts that can make a series of runs, and what is named there."""

from ocm_tf.errors import UserError
from ocm_tf.experiments.settings import parse_seed, unknown


def add_comparison_flags(parser, kinds, help, default=None, only="some of its labels", series="--compare"):
    """Adds --compare, --seeds and --only.

    Args:
        parser: `argparse.ArgumentParser`.
        kinds: names of what can be compared.
        help: what is run and drawn.
        default: the kind that --compare alone means; None demands one.
        only: what --only may name.
        series: the flags that --seeds goes with.
    """
    suffix = "; skips what is finished and resumes what is not"
    if default is None:
        parser.add_argument("--compare", choices=kinds, help=help + suffix)
    else:
        suffix += f" (default: {default})" if len(kinds) > 1 else ""
        parser.add_argument("--compare", nargs="?", const=default, choices=kinds, help=help + suffix)
    _add_seeds(parser, f"with {series}: the seeds (default: --seed)")
    parser.add_argument("--only", nargs="+", metavar="LABEL", help=f"with --compare: {only}")


def add_study_flags(parser, names):
    """Adds --study, by default all of the names, and --seeds."""
    parser.add_argument(
        "--study",
        nargs="+",
        default=list(names),
        metavar="NAME",
        help=f"what to vary, of: {', '.join(names)} (default: all)",
    )
    _add_seeds(parser, "the seeds (default: --seed)")


def _add_seeds(parser, help):
    parser.add_argument("--seeds", type=parse_seed, nargs="+", metavar="N", help=help)


def seeds_of(arguments):
    """Returns the seeds of a series, list of int."""
    return arguments.extras.seeds or [arguments.seed]


def refuse_series_flags(extras, series="--compare"):
    """Raises a `UserError` if flags of a series were given for a single run."""
    if extras.seeds is not None or extras.only is not None:
        raise UserError(f"--seeds and --only go with {series}; a single run takes --seed")


def refuse_variant(extras, flag="--variant"):
    """Raises a `UserError` if what a single run takes was given for a comparison."""
    if getattr(extras, flag.lstrip("-")) is not None:
        raise UserError(f"--compare names what is compared by --only; it does not go with {flag}")


def chosen(kind, names, known):
    """Picks what the user named.

    Args:
        kind: what it is, for the message.
        names: list of names; None takes all.
        known: dict.

    Returns:
        dict, a part of `known` in its order, which is that of the tables.

    Raises:
        UserError: if a name is unknown.
    """
    for name in names or ():
        if name not in known:
            raise UserError(unknown(kind, name, known))
    return {name: value for name, value in known.items() if names is None or name in names}


def refuse_varied(what, compared, named):
    """Raises a `UserError` if the user set what every run of a series sets, which would change nothing.

    Args:
        what: name of the series, such as `"study reduce"`.
        compared: `{label: changes to the settings}`.
        named: names of the settings that the user set.
    """
    taken = sorted(named.intersection(*compared.values()))
    if taken:
        raise UserError(f"{what} varies {taken[0]}, so it cannot be set; choose others")
