"""Checks that downloads go on where they stopped, and that only the right file is kept."""

import hashlib
import socket
import time

import numpy as np
import pytest
from download_server import serving

from ocm_tf.data import download
from ocm_tf.data.download import Download, fetch
from ocm_tf.errors import UserError

CONTENT = np.random.default_rng(0).bytes(10_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
FILES = {"/a.zip": CONTENT}


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(download, "_PIECE", 512)


def fetch_from(address, folder, md5=MD5, name="a.zip", report=lambda line: None):
    return fetch(Download(f"{address}/{name}", md5), folder, report, seconds=2)


def test_a_whole_file_is_fetched_once(tmp_path):
    requests, lines = [], []
    with serving(FILES, requests=requests) as address:
        path = fetch_from(address, tmp_path / "new", report=lines.append)
        assert path.read_bytes() == CONTENT
        assert fetch_from(address, tmp_path / "new", report=lines.append) == path
    assert requests == [None]
    assert lines[0] == f"downloading {address}/a.zip"
    assert len(lines) == 12  # every tenth, and that it is there already
    assert lines[-1] == f"{path} is there already"
    assert [file.name for file in path.parent.iterdir()] == ["a.zip"]


def test_an_interrupted_download_goes_on(tmp_path):
    requests = []
    with serving(FILES, break_off=4_000, requests=requests) as address:
        for stopped_at in (4_000, 8_000):
            with pytest.raises(UserError, match=r"stopped at 0.0 MB .*the same command goes on"):
                fetch_from(address, tmp_path)
            assert (tmp_path / "a.zip.part").stat().st_size == stopped_at
        assert fetch_from(address, tmp_path).read_bytes() == CONTENT
    assert requests == [None, "bytes=4000-", "bytes=8000-"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_a_server_without_ranges_sends_all_again(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"something else")
    with serving(FILES, ranges=False) as address:
        assert fetch_from(address, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_kept(tmp_path):
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    with serving(FILES) as address:
        assert fetch_from(address, tmp_path).read_bytes() == CONTENT


def test_another_file_than_expected_is_not_kept(tmp_path):
    with serving(FILES) as address:
        with pytest.raises(UserError, match=f"gave another file: its MD5 must be {'0' * 32}, found {MD5}"):
            fetch_from(address, tmp_path, md5="0" * 32)
        assert list(tmp_path.iterdir()) == []
        # The beginning of another file, from an earlier attempt.
        (tmp_path / "a.zip.part").write_bytes(b"x" * 100)
        with pytest.raises(UserError, match="gave another file"):
            fetch_from(address, tmp_path)
        assert fetch_from(address, tmp_path).read_bytes() == CONTENT
        (tmp_path / "a.zip").write_bytes(b"mine")
        with pytest.raises(UserError, match=r"is not the file that .* should give: delete it"):
            fetch_from(address, tmp_path)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_refusals_and_silence_are_clear_errors(tmp_path):
    message = "b.zip cannot be downloaded: the server answers 404"
    with serving(FILES) as address, pytest.raises(UserError, match=message):
        fetch_from(address, tmp_path, name="b.zip")
    with pytest.raises(UserError, match=r"a.zip cannot be downloaded \(.*refused"):
        fetch_from(address, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(UserError, match=r"cannot be downloaded \(.*timed out"):
            fetch(Download(f"http://127.0.0.1:{silent.getsockname()[1]}/a.zip", MD5), tmp_path, print, seconds=0.2)
        assert time.monotonic() - start < 5


def test_a_place_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with serving(FILES) as address, pytest.raises(UserError, match=r"cannot write .*a.zip"):
        fetch_from(address, tmp_path / "file" / "folder")
