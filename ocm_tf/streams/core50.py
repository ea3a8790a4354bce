"""The benchmark runs of CORe50 as experiences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ocm_tf.data.core50 import CATEGORIES, OBJECTS_PER_CATEGORY, SCENARIOS
from ocm_tf.errors import UserError
from ocm_tf.streams.experience import Experience
from ocm_tf.streams.experience_split import ExperienceSplit
from ocm_tf.types import Arrays

if TYPE_CHECKING:
    from ocm_tf.data.dataset import Dataset

# The authors' reduced list holds every 20th test image too; with which one it begins was not found.
_REDUCTION = 20
LEVELS = ("object", "category")


def core50_experiences(
    dataset: Dataset,
    index: Arrays,
    scenario: str = "NI",
    run: int = 0,
    level: str = "object",
    reduced_test: bool = False,
    num_train: int | None = None,
) -> list[Experience]:
    """Makes the experiences of one run of a CORe50 scenario (Lomonaco and Maltoni 2017); no image is read yet.

    - NI: new instances, one session of all objects each.
    - NC: new classes, some objects in all sessions each.
    - NIC, NICv2-79, NICv2-196, NICv2-391: new instances and classes, some objects in one session each.

    The test set is the same for all experiences: sessions 3, 7 and 10, of all objects.

    Args:
        dataset: `load("core50")`.
        index: `load_index("core50")`.
        scenario: "NI", "NC", "NIC", "NICv2-79", "NICv2-196" or "NICv2-391".
        run: which of the orders that the authors drew, from 0 to 9.
        level: what the labels are: "object" (50) or "category" (10).
        reduced_test: whether to test on every 20th test image only, for quick runs.
        num_train: most training images of an experience, at equal distances in the order of sessions, objects and
            frames; None takes all.

    Returns:
        List of `Experience`, named after scenario, run and batch.

    Raises:
        ValueError: if there is no such scenario or level, or an experience is to have no image.
        UserError: if the file lists of that run were not there when the data set was prepared.
    """
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, got {scenario!r}.")
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}.")
    if num_train is not None and num_train < 1:
        raise ValueError(f"num_train must be at least 1, got {num_train}.")
    key = f"{scenario}/run{run}"
    if f"{key}/rows" not in index:
        there = sorted({name.rpartition("/")[0] for name in index if name.endswith("/rows")})
        raise UserError(
            f"CORe50 was prepared without the file lists of {key} (there are {', '.join(there)}): delete its folder "
            "and prepare it again with all of batches_filelists*.zip beside the images"
        )
    class_names, objects_per_label = dataset.spec.class_names, 1
    if level == "category":
        class_names, objects_per_label = CATEGORIES, OBJECTS_PER_CATEGORY
    train_labels, test_labels = (split.labels // objects_per_label for split in (dataset.train, dataset.test))
    test_rows = np.arange(0, len(test_labels), _REDUCTION) if reduced_test else None
    test = ExperienceSplit(dataset.test.images, test_labels, test_rows)
    batches = [_thinned(rows, num_train) for rows in np.split(index[f"{key}/rows"], index[f"{key}/starts"][1:])]
    return [
        Experience(i, f"{key}/batch{i}", ExperienceSplit(dataset.train.images, train_labels, rows), test, class_names)
        for i, rows in enumerate(batches)
    ]


def _thinned(rows, num_rows):
    num_rows = len(rows) if num_rows is None else min(num_rows, len(rows))
    return np.sort(rows)[np.arange(num_rows) * len(rows) // num_rows] if num_rows < len(rows) else rows
