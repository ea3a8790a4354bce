"""All figures there are: of single runs, and of directories of several, drawn from their files alone."""

import functools
import pathlib

from ocm_tf.errors import UserError
from ocm_tf.experiments import (
    classification_plots,
    demc_plots,
    domain_plots,
    glr_comparison,
    glr_plots,
    mnemonics_plots,
    ocm_plots,
    plots,
    tfdsvit_plots,
)
from ocm_tf.experiments.ablation_plots import draw_studies, holds_studies
from ocm_tf.experiments.compared_runs import RUN_NAME
from ocm_tf.experiments.comparison_plots import draw_comparison
from ocm_tf.experiments.demc_config import MEMORIES, PATHS
from ocm_tf.experiments.generation_comparison import draw_generation_comparison, holds_generation_runs
from ocm_tf.experiments.glr_config import COMPARED
from ocm_tf.experiments.mnemonics_comparison import draw_incremental_comparison, is_incremental_comparison
from ocm_tf.experiments.mnemonics_config import COMPARISONS, STUDIES
from ocm_tf.experiments.threshold_study import draw_threshold_study, holds_threshold_study

FIGURES = {
    **ocm_plots.FIGURES,
    **domain_plots.FIGURES,
    **classification_plots.FIGURES,
    **tfdsvit_plots.FIGURES,
    **demc_plots.FIGURES,
    **glr_plots.FIGURES,
    **mnemonics_plots.FIGURES,
}
"""The figures of a run, by the names of their files; each function returns None if the run recorded nothing for it."""


def draw_all(run_dir, names=None):
    """Draws the figures of a run into its `figures/` directory.

    Args:
        run_dir: path of a run directory.
        names: iterable of keys of `FIGURES`; all of them by default.

    Returns:
        paths: list of the files written; a figure the run recorded nothing for is left out.

    Raises:
        UserError: for an unknown name, and for a file that is missing or corrupt.
    """
    names = list(FIGURES if names is None else names)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise UserError(f"there is no figure named {', '.join(unknown)}; choose from {', '.join(FIGURES)}")
    run = plots.RunFiles(pathlib.Path(run_dir))
    paths = []
    for name in names:
        figure = FIGURES[name](run)
        if figure is not None:
            paths.append(run.path / "figures" / f"{name}.png")
            plots.save_figure(figure, paths[-1])
    return paths


def is_comparison(directory):
    """Tells whether a directory holds runs rather than being one."""
    runs = [path.parent.name for path in pathlib.Path(directory).glob("*-seed*/results.json")]
    return not (pathlib.Path(directory) / "config.json").exists() and any(RUN_NAME.fullmatch(name) for name in runs)


_EXEMPLAR_LABELS = [label for labels in (*COMPARISONS.values(), *STUDIES.values()) for label in labels]

# The first that answers draws, with the labels in the order in which the scripts name them, where there is one. Each
# drawer returns the paths written and what has not finished.
_COLLECTIONS = (
    (holds_threshold_study, draw_threshold_study),
    (glr_comparison.holds_continual_runs, functools.partial(glr_comparison.draw_comparison, order=COMPARED)),
    (holds_generation_runs, functools.partial(draw_generation_comparison, order=[*MEMORIES, *PATHS])),
    (is_incremental_comparison, functools.partial(draw_incremental_comparison, order=_EXEMPLAR_LABELS)),
    (is_comparison, draw_comparison),
    (holds_studies, draw_studies),
)


def draw_collection(directory):
    """Draws tables and figures of a directory that holds runs side by side.

    Args:
        directory: path.

    Returns:
        paths: list of the files written, or None if the directory holds no runs side by side.
        missing: names of the runs that have not finished.

    Raises:
        UserError: for a file that is missing or corrupt, and if no run has finished.
    """
    for holds, draw in _COLLECTIONS:
        if holds(directory):
            paths, missing = draw(directory)
            return paths, [getattr(run, "name", run) for run in missing]
    return None, []
