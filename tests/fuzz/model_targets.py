"""Checkpoints and saved models as targets of damage."""

import functools
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np

import ocm_tf
from ocm_tf.callbacks import Checkpoint, Expansion, ExperienceCheckpoint
from ocm_tf.callbacks.training_state import _digest, state_variables
from ocm_tf.errors import UserError
from ocm_tf.files import load_arrays, save_arrays
from tests import tiny
from tests.fuzz.judging import Target, is_same, same
from tests.fuzz.mutations import altered, altered_arrays, altered_json, damaged, in_place


@functools.cache
def trained():
    """Returns a model with samples in memory and an optimizer, and its expansion rule."""
    model = tiny.make_vae(tiny.make_memory())
    model.memory.observe(tiny.make_images(4), np.arange(4))
    model.optimizer.build(model.trainable_variables)
    return model, Expansion(num_samples=2)


@functools.cache
def content_of(kind):
    """Returns the bytes of a checkpoint, or of a saved model."""
    model, expansion = trained()
    with tempfile.TemporaryDirectory() as folder:
        if kind == "model":
            model.save(Path(folder, "model.keras"))
            return Path(folder, "model.keras").read_bytes()
        checkpoint = Checkpoint(folder, stateful=[expansion])
        checkpoint.set_model(model)
        checkpoint.save()
        return Path(folder, "state.npz").read_bytes()


def checkpoint_target():
    """Restores a model from a damaged checkpoint, also from one altered together with its digest."""

    def mutate(folder, rng):
        path = folder / "state.npz"
        if rng.random() < 0.4:
            return in_place(damaged, path.name)(folder, rng)
        arrays = load_arrays(path)
        manifest = json.loads(arrays.pop("manifest").tobytes())
        del arrays["digest"]
        if rng.random() < 0.4:
            arrays = {name: array for name, array in altered_arrays(arrays, rng).items() if not array.dtype.hasobject}
        else:
            manifest = altered(manifest, rng)
        text = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
        save_arrays(path, {"manifest": text, "digest": _digest(text, arrays), **arrays})
        return path.name

    def read(folder):
        model, expansion = trained()
        variables = state_variables(model, [expansion])
        for variable in variables:
            variable.assign(np.ones(variable.shape))
        checkpoint = Checkpoint(folder, stateful=[expansion])
        try:
            position = checkpoint.restore(model)
        except UserError:
            if any((variable.numpy() != 1).any() for variable in variables):
                raise AssertionError("a checkpoint was refused with a part of it put back") from None
            raise
        return [position, [np.asarray(variable.numpy()) for variable in variables]]

    def is_right(folder, whole, reading):
        """Says that the model is what the file, which has no guard but a digest of its own, says it is."""
        arrays = load_arrays(folder / "state.npz")
        manifest = json.loads(arrays["manifest"].tobytes())
        values = [arrays[str(index)].view(value.dtype) for index, value in enumerate(whole[1])]
        return same([manifest["extra"]["position"], values], reading)

    return Target(
        kind="checkpoint",
        write=lambda folder: (folder / "state.npz").write_bytes(content_of("checkpoint")),
        mutate=mutate,
        read=read,
        is_right=is_right,
        cost=10,
    )


def experience_target():
    """Reads `experience.json`, which says which model and states to go on with."""
    about = {"experience": 0, "position": 3, "states": [Expansion().get_state()]}

    def write(folder):
        (folder / "experience.json").write_text(json.dumps(about))
        (folder / "experience-0.keras").write_bytes(content_of("model"))

    def read(folder):
        checkpoint = ExperienceCheckpoint(folder, stateful=[Expansion()])
        if checkpoint.load() is None:
            raise UserError(f"{folder} holds no model")
        return checkpoint.position

    def is_right(folder, whole, reading):
        told = json.loads((folder / "experience.json").read_text())
        return told["experience"] == 0 and told["position"] == reading

    return Target("experience.json", write, in_place(altered_json, "experience.json"), read, is_right, cost=30)


def outputs_of(path):
    """Loads a model and computes what its weights, optimizer and memory decide."""
    model = ocm_tf.load_model(path)
    outputs = model.component_bounds(tiny.make_binary_images(2), 2)
    return [outputs, list(tiny.optimizer_values(model).values()), [np.array(part) for part in model.memory.gather()]]


def model_target():
    return Target(
        kind="model.keras",
        write=lambda folder: (folder / "model.keras").write_bytes(content_of("model")),
        mutate=in_place(damaged, "model.keras"),
        read=lambda folder: outputs_of(folder / "model.keras"),
        is_right=is_same,
        cost=10,
    )


def model_config_target():
    """Loads a model whose configuration was altered in an archive that is whole."""

    def mutate(folder, rng):
        path = folder / "model.keras"
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = str(rng.choice(["config.json", "config.json", "metadata.json"]))
        members[name] = altered_json(members[name], rng)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return path.name

    def is_right(folder, whole, reading):
        """Says that what was read is of the kind of the whole model, its weights untouched."""
        return np.isfinite(reading[0]).all() and reading[0].shape == whole[0].shape

    return Target(
        kind="configuration in model.keras",
        write=lambda folder: (folder / "model.keras").write_bytes(content_of("model")),
        mutate=mutate,
        read=lambda folder: outputs_of(folder / "model.keras"),
        is_right=is_right,
        # A configuration of another model is refused by what then does not fit, be it only the images.
        errors=(UserError, ValueError),
        names_the_file=False,
        cost=30,
    )


def heavy_targets():
    """Makes the targets that need a model."""
    return [checkpoint_target(), experience_target(), model_target(), model_config_target()]
