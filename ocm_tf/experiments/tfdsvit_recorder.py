"""Writes down what a TFDSViT run does: loss and sizes per batch, energies, accuracies after each task."""

import keras
import numpy as np

from ocm_tf.experiments.accuracy_metrics import percent

_PROBE = 200  # test images on which the training component is tried


class TFDSViTRecorder(keras.callbacks.Callback):
    """Records a run for its table of metrics and its figures.

    It knows labels and tasks of the stream, of which the rule of expansion is told nothing.

    Args:
        metrics: `MetricsTable`.
        stream: the `Stream` that the model learns.
        test: object with `images` and `labels`.
        config: `TFDSViTConfig`.
        expansion: the run's `EnergyExpansion`; it comes before this callback.
        seed: seed of the codes drawn for routing.
    """

    def __init__(self, metrics, stream, test, config, expansion, seed):
        super().__init__()
        self.metrics, self.stream, self.test, self.config = metrics, stream, test, config
        self.expansion, self.seed = expansion, seed
        self.tasks = test.labels // config.classes_per_task
        self.num_tasks = int(self.tasks.max()) + 1
        self.num_batches = 0
        self.trained = []  # the component that trained on each batch
        self.updates = {}  # component: updates until it reached the target accuracy
        self.accuracies = []  # after each task, on the tasks so far

    def on_train_batch_end(self, batch, logs=None):
        model, expansion = self.model, self.expansion
        self.num_batches += 1
        # After an expansion the component that has just trained is the last but one.
        self.trained.append(model.num_components - 1 - int(expansion.expanded))
        sizes = {"num_components": model.num_components, "num_experts": model.num_experts}
        self.metrics.append(
            self.num_batches, "train", None, {"loss": logs["loss"], "memory_size": len(model.memory), **sizes}
        )
        values = {"expanded": expansion.expanded} if expansion.expanded or expansion.energy is not None else {}
        if expansion.energy is not None:
            values |= {"energy": expansion.energy, "threshold": expansion.tau}
        self.metrics.append(self.num_batches, "round", None, values)
        self._count_updates()
        self._measure_task()

    def _count_updates(self):
        component = self.trained[-1]
        if self.expansion.expanded or str(component) in self.updates:
            return
        task = self.stream.truth.labels[self._num_seen - 1] // self.config.classes_per_task
        rows = np.flatnonzero(self.tasks == task)[:_PROBE]
        accuracy = self._accuracy(rows, np.full(len(rows), component))
        if accuracy >= self.config.target_accuracy:
            # Its optimizer began with it.
            self.updates[str(component)] = int(self.model.optimizer.iterations.numpy())
            values = {"component": component, "updates_to_target": self.updates[str(component)]}
            self.metrics.append(self.num_batches, "component", None, values)

    def _measure_task(self):
        ends = [*self.stream.truth.phase_starts[1:], len(self.stream)]
        while len(self.accuracies) < len(ends) and self._num_seen >= ends[len(self.accuracies)]:
            row = []
            for task in range(len(self.accuracies) + 1):
                rows = np.flatnonzero(self.tasks == task)
                row.append(self._accuracy(rows, None))
            self.metrics.append(
                self.num_batches, "task", len(row), {f"accuracy_task_{i + 1}": value for i, value in enumerate(row)}
            )
            self.accuracies.append(row)

    def _accuracy(self, rows, routes):
        probabilities = self.model.classify(self.test.images[rows], seed=self.seed, routes=routes)
        return percent(probabilities.argmax(axis=1) == self.test.labels[rows])

    @property
    def _num_seen(self):
        return min(self.num_batches * self.config.batch_size, len(self.stream))

    def component_classes(self):
        """Returns which classes arrived while each component trained, a bool array `(num_components, num_classes)`."""
        return self._arrivals() > 0

    def _arrivals(self):
        counts = np.zeros((self.model.num_components, len(self.stream.truth.class_names)), np.int64)
        components = np.repeat(self.trained, self.config.batch_size)[: self._num_seen]
        np.add.at(counts, (components, self.stream.truth.labels[: self._num_seen]), 1)
        return counts

    def accuracy_matrix(self, final):
        """Returns the accuracies after each task, a float array of fractions with nan above the diagonal.

        Args:
            final: metrics after the stream, which make the last row.
        """
        matrix = np.full((self.num_tasks, self.num_tasks), np.nan)
        for task, row in enumerate(self.accuracies):
            matrix[task, : len(row)] = row
        matrix[-1] = [final[f"accuracy_task_{task + 1}"] for task in range(self.num_tasks)]
        return matrix / 100

    def summary(self):
        """Returns the threshold used and, of components that reached the target, how many and their mean updates.

        The first component has nothing to be transferred from and is left out.
        """
        known = self.config.expansion == "energy" and self.expansion.tau is not None
        values = {"threshold": self.expansion.tau} if known else {}
        reached = [updates for component, updates in self.updates.items() if component != "0"]
        values["components_at_target"] = len(reached)
        return {**values, "updates_to_target": float(np.mean(reached))} if reached else values

    def observations(self):
        """Returns the arrays of `observations.npz`, a dict."""
        truth = self.stream.truth
        return {
            "class_names": np.array(truth.class_names, str),
            "phase_starts": truth.phase_starts // self.config.batch_size,
            "stream_labels": truth.labels[: self._num_seen].astype(np.int32),
            "batch_size": np.array(self.config.batch_size),
            "component_arrivals": self._arrivals(),
        }

    def get_state(self):
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        names = ("num_batches", "trained", "updates", "accuracies")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state):
        """Takes up the state of `get_state`."""
        for name, value in state.items():
            setattr(self, name, value)
