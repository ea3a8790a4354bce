"""Writes down what a run of class-incremental learning does: accuracies after each phase, what exemplars are like."""

import numpy as np

from ocm_tf.files import load_arrays, save_arrays
from ocm_tf.memory import class_margins, class_means

SHOWN_CLASSES = 5
_SHOWN_IMAGES, _SHOWN_EXEMPLARS = 60, 16
_MEAN_IMAGES = 100


class MnemonicsRecorder:
    """Measures a model after each phase for the table of metrics and the figures.

    Its state, for a checkpoint, is what was measured; arrays for figures are written to `observations.npz` after each
    phase, where a phase that is done again overwrites its own.

    Args:
        directory: the open `RunDirectory`.
        experiences: list of `Experience`.
        config: `MnemonicsConfig`.

    Attributes:
        measured: list of one dict of numbers for each phase done.
    """

    def __init__(self, directory, experiences, config):
        self.directory, self.experiences, self.config = directory, experiences, config
        self.measured = []

    def get_state(self):
        """Returns what a resumed run needs, as a dict for JSON."""
        return {"measured": self.measured}

    def set_state(self, state):
        """Takes up the state of `get_state`."""
        self.measured = state["measured"]

    def record(self, model, experience, step):
        """Measures the model after a phase."""
        tests = [known.test for known in self.experiences[: experience.index + 1]]
        images, labels = (np.concatenate([getattr(test, name) for test in tests]) for name in ("images", "labels"))
        classifiers = ["fc", *(["nme"] if len(model.memory) else [])]
        if self.config.fine_tuned_head and len(model.memory):
            classifiers.append("fine_tuned")
        values = {"num_seen": int(labels.max()) + 1}
        is_base = labels < self.config.base_classes
        for classifier, predicted in model.predicted_classes(images, classifiers).items():
            correct = 100 * (predicted == labels)
            values[f"accuracy_{classifier}"] = float(correct.mean())
            values[f"base_accuracy_{classifier}"] = float(correct[is_base].mean())
        for name, losses in getattr(model, "exemplar_losses", {}).items():
            if len(losses):
                values |= {f"loss_{name}_first": float(losses[0]), f"loss_{name}_last": float(losses[-1])}
        if len(model.memory):
            values["exemplar_margin"] = self._observe(model, experience)
        self.measured.append(values)
        self.directory.metrics.append(step, "evaluate", experience.index, values)

    def _observe(self, model, experience):
        """Writes arrays for the figures; returns the mean margin of all exemplars."""
        known = [self._of_classes(part.train, _MEAN_IMAGES) for part in self.experiences[: experience.index + 1]]
        images, labels = (np.concatenate(column) for column in zip(*known, strict=True))
        features = model.features_of(images)
        exemplars = model.memory.read()
        of_exemplars = model.features_of(exemplars.images)
        means = class_means(features, labels, int(labels.max()) + 1)
        margins = class_margins(of_exemplars, exemplars.labels, means)
        prefix = f"phase_{experience.index}_"
        shown = np.concatenate([np.flatnonzero(labels == label)[:_SHOWN_IMAGES] for label in range(SHOWN_CLASSES)])
        shown = shown[labels[shown] < self.config.base_classes]
        arrays = {
            f"{prefix}features": features[shown].astype(np.float32),
            f"{prefix}labels": labels[shown],
            f"{prefix}exemplar_features": of_exemplars.astype(np.float32),
            f"{prefix}exemplar_labels": exemplars.labels,
            f"{prefix}exemplar_margins": margins.astype(np.float32),
        }
        if experience.index == 0 and getattr(model, "exemplars_before", None) is not None:
            before = model.exemplars_before
            part = slice(_SHOWN_EXEMPLARS)
            arrays |= {"exemplars_before": before.images[part], "exemplars_after": exemplars.images[part]}
        path = self.directory.path / "observations.npz"
        held = load_arrays(path) if path.exists() and experience.index else {}
        names = np.array(experience.class_names, str)
        save_arrays(path, {**held, **arrays, "class_names": names})
        return float(margins.mean())

    def _of_classes(self, split, number):
        rows = [np.flatnonzero(split.labels == label)[:number] for label in np.unique(split.labels)]
        rows = np.concatenate(rows)
        return split.images[rows], split.labels[rows]

    def finish(self):
        """Makes sure that there is a file for figures even where there was nothing to draw."""
        path = self.directory.path / "observations.npz"
        if not path.exists():
            save_arrays(path, {"class_names": np.array(self.experiences[0].class_names, str)})
