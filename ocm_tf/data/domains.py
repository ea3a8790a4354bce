"""Several data sets by one name, joined by "+": the domains of a stream, in the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ocm_tf.data.loading import load, user_path
from ocm_tf.data.preparation import is_prepared, prepare
from ocm_tf.errors import UserError
from ocm_tf.types import PathLike

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset


def domain_names(name: str) -> tuple[str, ...]:
    """Separates the names of the data sets in `"mnist+fashion_mnist"`.

    Args:
        name: names that `load` takes, joined by "+".

    Returns:
        names: tuple of str, of one if nothing is joined.

    Raises:
        UserError: if a part is empty or comes twice.

    Example:
        >>> domain_names("mnist+fashion_mnist")
        ('mnist', 'fashion_mnist')
    """
    names = tuple(str(name).split("+"))
    if len(names) > 1 and _is_user_path(name):
        return (name,)
    if not all(names):
        raise UserError(f"dataset {name!r} has an empty part; join names as in mnist+fashion_mnist")
    if len(set(names)) != len(names):
        raise UserError(f"the domains in dataset {name!r} must differ; {names[0]}:inverted would be another one")
    if len(names) > 1 and set(name) & set(',"\r\n'):
        raise UserError(f"dataset {name!r}: paths of joined data sets must hold no comma, quote or line break")
    return names


def _is_user_path(name):
    # The path of a user's own data set may hold a "+" itself.
    try:
        return user_path(name) is not None
    except UserError:
        return False


def load_domains(
    name: str, data_dir: PathLike | None = None, report: Callable[[str], None] | None = None
) -> list[Dataset]:
    """Loads one or more data sets, and prepares those that are not there yet.

    Args:
        name: names that `load` takes, joined by "+".
        data_dir: TFDS data directory; `None` for `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.
        report: function that takes a line of progress on the preparation, or `None`.

    Returns:
        datasets: list of `Dataset`, in the order of the names, of one image shape.

    Raises:
        UserError: if a name is unknown, a data set cannot be had, or the shapes of their images differ.
    """
    names = domain_names(name)
    missing = [each for each in names if not is_prepared(each, data_dir)]
    for each in missing:
        prepare(each, data_dir=data_dir, report=report)
    datasets = [load(each, data_dir) for each in names]
    shapes = {each: dataset.spec.image_shape for each, dataset in zip(names, datasets, strict=True)}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{each} has {'x'.join(map(str, shape))}" for each, shape in shapes.items())
        raise UserError(f"the images of all domains must have one shape: {found}")
    return datasets


def describe_sources(datasets: Sequence[Dataset]) -> str:
    """Says in one line where each data set came from and how many images it has.

    Args:
        datasets: list of `Dataset`.

    Returns:
        text: str.
    """
    lines = []
    for dataset in datasets:
        spec = dataset.spec
        note = f" ({spec.note})" if spec.note else ""
        numbers = f"{len(dataset.train):,} training and {len(dataset.test):,} test images"
        lines.append(f"{spec.name}: {spec.source}, {numbers}{note}")
    return "; ".join(lines)
