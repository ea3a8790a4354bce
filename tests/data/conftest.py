"""A data directory of its own for each test, tiny catalogue entries, and no network."""

import dataclasses
import hashlib
import socket

import pytest
from data_files import idx_contents

from ocm_tf.data import catalogue


@pytest.fixture(autouse=True)
def _isolated(tmp_path, monkeypatch):
    """Gives each test its own data directory and lets it connect to this machine only."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    connect = socket.socket.connect

    def connect_locally(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests must not use the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture
def data_dir(tmp_path):
    """The TFDS data directory of this test, not made yet."""
    return tmp_path / "data"


@pytest.fixture
def tiny_entry(monkeypatch):
    """Gives a function of a name that shrinks its catalogue entry to 20 training and 10 test images."""

    def shrink(name, **changes):
        entry = catalogue.CATALOGUE[name]
        hashes = {}
        if entry.idx_sha256:
            hashes = {file: hashlib.sha256(content).hexdigest() for file, content in idx_contents().items()}
        changes = {"num_train": 20, "num_test": 10, "idx_sha256": hashes, **changes}
        entry = dataclasses.replace(entry, **changes)
        monkeypatch.setitem(catalogue.CATALOGUE, name, entry)
        return entry

    return shrink
