"""Folders in which something is made before it is renamed into its place."""

import contextlib
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

PREFIX = ".ocm_tf_unfinished_"
_ONE_DAY = 86_400


@contextlib.contextmanager
def unfinished_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """Makes a folder beside the final place, so that the last step is a rename within one file system.

    Whatever is still in it at the end is removed. So is what a killed process left behind in `parent`, once it
    is a day old and cannot be at work any more.

    Args:
        parent: `pathlib.Path` of an existing folder.

    Yields:
        folder: `pathlib.Path`.
    """
    for leftover in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _ONE_DAY:
                shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as folder:
        yield pathlib.Path(folder)
