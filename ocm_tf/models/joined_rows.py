"""The images of an experience and those of a memory as one array, without a copy of either."""

from typing import Any

import numpy as np


class JoinedRows:
    """Reads like the concatenation of two arrays, of which some rows are chosen.

    Args:
        first: array of shape `(n, ...)`.
        second: array of shape `(m, ...)`.
        rows: int array, the rows of the concatenation that are kept, in their order; None keeps all.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray, rows: np.ndarray | None = None) -> None:
        self._first, self._second = first, second
        self._rows = np.arange(len(first) + len(second)) if rows is None else rows
        self.dtype = np.result_type(first, second)
        self.shape = (len(self._rows), *first.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._rows[index]
        is_first = rows < len(self._first)
        values = np.empty((len(rows), *self.shape[1:]), self.dtype)
        values[is_first] = self._first[rows[is_first]]
        values[~is_first] = self._second[rows[~is_first] - len(self._first)]
        return values
