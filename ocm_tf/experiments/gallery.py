"""The gallery: a small trained model of every method, shipped with the repository, and how each was made."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ocm_tf.errors import UserError
from ocm_tf.experiments.model_card import model_card
from ocm_tf.files import load_arrays, read_json, save_arrays, write_atomically

PER_CLASS = 3
_COPIED = ("config.json", "results.json")


class Entry(NamedTuple):
    """One model of the gallery.

    Attributes:
        heading: what the figure calls it.
        metric: the number of `results.json` that the figure shows, and how it is written.
        script: name of the script that trains it, with its preset `tiny`.
        flags: what its command line has besides.
    """

    heading: str
    metric: tuple[str, str]
    script: str
    flags: tuple[str, ...] = ()


_ACCURACY = ("average_accuracy", "{:.0f} % correct")
ENTRIES = {
    "ocm_single": Entry("OCM, one VAE", ("nll", "NLL {:.1f} nats"), "ocm_split_mnist", ("--variant", "vae-elbo-ocm")),
    "ocm_growing": Entry("OCM, a growing mixture", ("nll", "NLL {:.1f} nats"), "ocm_split_mnist"),
    "demc": Entry("DEMC, a two-path VAE", ("sse", "squared error {:.1f}"), "demc_split_mnist"),
    "ocm_classification": Entry("OCM, classification", _ACCURACY, "ocm_classification"),
    # Narrower than its preset, of which the file takes nine megabytes.
    "tfdsvit": Entry(
        "TFDSViT, attention experts",
        _ACCURACY,
        "tfdsvit_split_mnist",
        ("--set", "num_heads=2", "head_dim=8", "head_units=16", "vae_units=32"),
    ),
    "glr": Entry("GLR, replay of generated latents", _ACCURACY, "glr_rotated_mnist"),
    "mnemonics": Entry("Mnemonics, trained exemplars", _ACCURACY, "mnemonics_cifar100"),
}


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """What the repository ships of one model.

    Args:
        path: its directory, of a name in `ENTRIES`.

    Raises:
        UserError: on reading a file that is missing or corrupt.
    """

    path: Path

    @property
    def entry(self):
        return ENTRIES[self.path.name]

    @property
    def caption(self):
        """Says what it is and how well it does."""
        metric, text = self.entry.metric
        return f"{self.entry.heading}: {text.format(read_json(self.path / 'results.json')['metrics'][metric])}"

    def load(self):
        """Returns the model."""
        import ocm_tf

        return ocm_tf.load_model(self.path)

    def images(self):
        """Returns test images to show, their labels as the model numbers them, and `class_names`, a dict."""
        return load_arrays(self.path / "images.npz")


def exhibits(directory):
    """Returns the `Exhibit`s below a directory, in the order of `ENTRIES`.

    Raises:
        UserError: if one is missing.
    """
    missing = [name for name in ENTRIES if not (Path(directory) / name / "model.keras").is_file()]
    if missing:
        raise UserError(f"{directory} lacks {', '.join(missing)}; scripts/gallery.py --train makes them")
    return [Exhibit(Path(directory) / name) for name in ENTRIES]


def train(names, runs, directory, scripts, say=print):
    """Trains models of the gallery, each by its own script, and puts into the gallery what is shipped of them.

    Args:
        names: keys of `ENTRIES`.
        runs: directory for the run directories; a finished run in it is replaced.
        directory: that of the gallery.
        scripts: directory of the scripts.
        say: called with one line of text now and then.

    Raises:
        UserError: if a script fails.
    """
    for index, name in enumerate(names):
        entry, output = ENTRIES[name], Path(runs) / name
        say(f"[{index + 1}/{len(names)}] {name}")
        flags = ["--preset", "tiny", *entry.flags, "--quiet", "--threads", "1", "--overwrite", "--output", str(output)]
        # As a user would type it: the command is part of what is shipped.
        command = [sys.executable, os.path.relpath(Path(scripts) / f"{entry.script}.py"), *flags]
        if subprocess.run(command, check=False).returncode:
            raise UserError(f"{entry.script} has failed; what was made before it is in {directory}")
        put_into_gallery(output, Path(directory) / name, shown_images(entry.script))


def shown_images(script):
    """Returns three test images of each class of a run with preset `tiny`, first one of each, as `Exhibit.images` does.

    Args:
        script: name of the script.
    """
    from ocm_tf.data import load
    from ocm_tf.experiments.glr_config import ROTATED_PRESETS
    from ocm_tf.experiments.glr_streams import load_experiences
    from ocm_tf.experiments.mnemonics import build_experiences
    from ocm_tf.experiments.mnemonics_config import PRESETS, for_dataset

    digits = load("digits")
    parts, names = [digits.test], digits.spec.class_names
    if script.startswith(("glr", "mnemonics")):
        if script.startswith("glr"):
            experiences = load_experiences(ROTATED_PRESETS["tiny"])[0]
        else:
            # These number classes in the order of their arrival.
            experiences = build_experiences(for_dataset(PRESETS["tiny"], {}), digits, seed=0)
        parts, names = [experience.test for experience in experiences], experiences[0].class_names
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    of_class = [np.flatnonzero(labels == label) for label in range(len(names))]
    # From the beginning, the midst and the end of the experiences.
    rows = np.stack([own[np.linspace(0, len(own) - 1, PER_CLASS).astype(int)] for own in of_class], axis=1).ravel()
    return {"images": images[rows], "labels": labels[rows], "class_names": np.array(names, str)}


def put_into_gallery(run_directory, target, images):
    """Copies what is shipped of a finished run: its card, and its model without optimizers and, where it can, memory.

    Args:
        run_directory, target: paths.
        images: dict of arrays for `images.npz`.
    """
    import keras

    import ocm_tf.models  # noqa: F401  (registers what the file names)

    model = keras.saving.load_model(run_directory / "model.keras", compile=False)
    results = read_json(run_directory / "results.json")
    if hasattr(model, "without_memory"):
        model = model.without_memory()
        results = {**results, "memory_samples": None, "memory_bytes": None}
    target.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        shutil.copyfile(run_directory / name, target / name)
    card = model_card(read_json(run_directory / "config.json"), results)
    write_atomically(target / "model_card.md", lambda path: path.write_text(card, encoding="utf-8"))
    save_arrays(target / "images.npz", images)
    write_atomically(target / "model.keras", model.save)
