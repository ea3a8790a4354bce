"""Downloads that go on where they stopped and are checked by MD5."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ocm_tf.errors import UserError

# A server that sends nothing for so long is given up.
STALL_SECONDS = 30.0
_PIECE = 2**20


@dataclasses.dataclass(frozen=True)
class Download:
    """Names a file on the web.

    Attributes:
        url: its address, http or https.
        md5: its MD5 in hexadecimal, as its authors publish it.
    """

    url: str
    md5: str

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rsplit("/", 1)[-1]


def fetch(download: Download, folder: Path, report: Callable[[str], None], seconds: float = STALL_SECONDS) -> Path:
    """Downloads a file unless it is there; what an earlier attempt left in `NAME.part` is not fetched again.

    Args:
        download: the `Download`.
        folder: `pathlib.Path` of the folder, made if missing.
        report: function that takes a line of progress.
        seconds: how long to wait for the next bytes.

    Returns:
        path: the file.

    Raises:
        UserError: if the server does not answer, stops sending or sends another file, or the place cannot be written.
    """
    path = folder / download.file_name
    part = path.with_name(path.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if _md5(path) != download.md5:
                raise UserError(f"{path} is not the file that {download.url} should give: delete it and try again")
            report(f"{path} is there already")
            return path
        _fetch_rest(download.url, part, report, seconds)
        found = _md5(part)
        if found != download.md5:
            part.unlink()
            raise UserError(f"{download.url} gave another file: its MD5 must be {download.md5}, found {found}")
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error}") from error
    return path


def _fetch_rest(url, part, report, seconds):
    """Appends to `part` what is missing of the file at `url`."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=seconds)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is missing: the attempt ended between the last byte and the check
            return
        raise UserError(f"{url} cannot be downloaded: the server answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url} cannot be downloaded ({error})") from error
    with response:
        if response.status != 206:
            start = 0  # the server sends the whole file, whatever was asked for
        elif not re.match(rf"bytes {start}-", response.headers.get("Content-Range", "")):
            raise UserError(f"{url} sends another part than asked for: delete {part} and try again")
        total = start + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        report(f"downloading {url}" + (f" from {_megabytes(start)}" if start else ""))
        with part.open("ab" if start else "wb") as file:
            size = _copy(response, file, url, start, total, report)
    if total is not None and size != total:
        raise UserError(_stopped(url, size, "the connection closed"))


def _copy(response, file, url, size, total, report):
    """Writes what the server sends and returns the size of the file, reporting every tenth of it."""
    while True:
        try:
            piece = response.read(_PIECE)
        except (OSError, http.client.HTTPException) as error:
            raise UserError(_stopped(url, size, error)) from error
        if not piece:
            return size
        file.write(piece)
        if total and 10 * size // total < 10 * (size + len(piece)) // total:
            report(f"{_megabytes(size + len(piece))} of {_megabytes(total)}")
        size += len(piece)


def _stopped(url, size, reason):
    return f"{url}: the download stopped at {_megabytes(size)} ({reason}): the same command goes on from there"


def _megabytes(size):
    return f"{size / 1e6:,.1f} MB"


def _md5(path):
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
