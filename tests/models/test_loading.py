"""Checks that whatever is no model is refused in one line."""

import zipfile

import numpy as np
import pytest

import ocm_tf
from ocm_tf.errors import UserError
from tests import tiny


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "model.keras"
    tiny.make_vae(tiny.make_memory()).save(path)
    return path


def message_of(path):
    with pytest.raises(UserError) as caught:
        ocm_tf.load_model(path)
    message = str(caught.value)
    assert "\n" not in message and message.strip() == message
    return message


def test_loads_a_file_or_the_directory_of_a_run(file):
    images = tiny.make_binary_images(3)
    bounds = [ocm_tf.load_model(path).component_bounds(images, 3) for path in (file, str(file), file.parent)]
    for each in bounds[1:]:
        np.testing.assert_array_equal(each, bounds[0])


def test_a_loaded_model_is_compiled_and_has_its_memory(file):
    model = ocm_tf.load_model(file)
    assert model.compiled and model.memory.short_term.capacity == 8
    assert np.isfinite(model.train_on_batch(tiny.make_images(4)))
    np.testing.assert_allclose(model.optimizer.learning_rate, 0.01)
    assert (model.optimizer.beta_1, model.optimizer.epsilon) == (0.5, 1e-8)


def test_a_missing_file_is_named(tmp_path):
    assert message_of(tmp_path / "none.keras") == f"There is no model file {tmp_path / 'none.keras'}."


def test_a_directory_without_a_model_hints_at_an_unfinished_run(tmp_path):
    assert message_of(tmp_path) == f"There is no model file {tmp_path / 'model.keras'} (the run has not finished?)."


def test_another_suffix_is_refused(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"")
    assert message_of(path) == f"{path} is not a .keras file."


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(file, tmp_path, share):
    content = file.read_bytes()
    path = tmp_path / "model.keras"
    path.write_bytes(content[: int(share * len(content))])
    assert f"{path} does not hold a model" in message_of(path)


def test_a_damaged_file_is_refused(file, tmp_path):
    content = bytearray(file.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert "does not hold a model" in message_of(path)


def test_an_archive_of_something_else_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no model\nat all")
    assert "does not hold a model" in message_of(path)


def rewritten(file, path, change):
    """Copies a model file with another configuration or with fewer members."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = change(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
    return path


def test_a_model_of_an_unknown_class_is_refused(file, tmp_path):
    path = rewritten(file, tmp_path / "model.keras", lambda name, content: content.replace(b"VAE", b"XAE"))
    assert "does not hold a model" in message_of(path)


def test_a_model_without_its_weights_is_refused(file, tmp_path):
    path = rewritten(
        file, tmp_path / "model.keras", lambda name, content: None if name == "model.weights.h5" else content
    )
    assert "does not hold a model" in message_of(path)


def test_weights_of_another_size_are_refused(file, tmp_path):
    other = tmp_path / "other.keras"
    tiny.make_vae(tiny.make_memory(), units=9).save(other)
    with zipfile.ZipFile(other) as archive:
        weights = archive.read("model.weights.h5")
    path = rewritten(
        file, tmp_path / "model.keras", lambda name, content: weights if name == "model.weights.h5" else content
    )
    assert "does not hold a model" in message_of(path)
