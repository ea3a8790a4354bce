"""The note beside a stored data set that says where it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ocm_tf.errors import UserError
from ocm_tf.files import read_json

if TYPE_CHECKING:
    from ocm_tf.data.dataset_spec import DatasetSpec

SOURCE_FILE = "ocm_tf_source.json"


def write_source(path: Path, spec: DatasetSpec, method: str) -> None:
    """Writes the note.

    Args:
        path: folder of the data set.
        spec: the `DatasetSpec`.
        method: how it was got: "npm", "apt" or the path of the user's files.
    """
    note = {"source": spec.source, "note": spec.note, "method": method, "licence": spec.licence}
    (path / SOURCE_FILE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def read_source(path: Path) -> dict[str, str]:
    """Reads the note on where a stored data set came from.

    Args:
        path: folder of the data set.

    Returns:
        source: dict with the texts `source`, `note`, `method`; of TFDS itself if there is no such file.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        if not (path / SOURCE_FILE).exists():
            name = f"{path.parent.name} {path.name}"
            return {"source": f"TensorFlow Datasets, {name}", "note": "", "method": "tfds"}
        note = read_json(path / SOURCE_FILE)
        found = {key: note.get(key) for key in ("source", "note", "method")}
        if not all(isinstance(text, str) for text in found.values()):
            raise UserError("it must tell source, note and method")
        return found
    except UserError as error:
        raise UserError(f"{path / SOURCE_FILE} cannot be read ({error}): delete {path} and prepare it again") from error
