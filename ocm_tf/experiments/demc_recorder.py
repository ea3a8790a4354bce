"""Writes down what a DEMC run does: losses and sizes per batch, novelty per check, images and errors per task."""

import keras
import numpy as np

from ocm_tf.experiments.demc_metrics import CLASSES_PER_TASK, task_errors

_SHOWN_PER_TASK = 4


class DEMCRecorder(keras.callbacks.Callback):
    """Records a run for its table of metrics and its figures.

    It knows the stream's tasks and the test images, which the model does not. A task counts as over with the batch that
    brings its last image.

    Args:
        metrics: `MetricsTable`.
        stream: the `Stream` that the model learns.
        test: object with `images` and `labels`.
        batch_size: images in an arriving batch.
        expansion: the run's `ClusterExpansion`, or None.
        seed: seed of the samples shown.
    """

    def __init__(self, metrics, stream, test, batch_size, expansion=None, seed=0):
        super().__init__()
        self.metrics, self.stream, self.test = metrics, stream, test
        self.batch_size, self.expansion, self.seed = batch_size, expansion, seed
        ends = np.append(stream.truth.phase_starts[1:], len(stream))
        self.task_ends = np.minimum(-(-ends // batch_size), stream.num_batches(batch_size))
        tasks = test.labels // CLASSES_PER_TASK
        # The same test images after every task, of each task the first ones.
        self.shown = np.concatenate([np.flatnonzero(tasks == task)[:_SHOWN_PER_TASK] for task in np.unique(tasks)])
        self.num_batches, self.tasks = 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.num_batches += 1
        memory = self.model.memory
        values = {"loss": logs["loss"], "short_term_size": len(memory.short_term)}
        if memory.long_term is not None:
            values["long_term_size"] = len(memory.long_term)
            values["num_clusters"] = memory.long_term.num_clusters
        self.metrics.append(self.num_batches, "train", None, values)
        if self.expansion is not None and self.expansion.last_check is not None:
            check = self.expansion.last_check
            values = {"novelty": check.distance, "threshold": check.threshold, "cluster_made": check.expanded}
            self.metrics.append(self.num_batches, "check", None, values)
        for task in np.flatnonzero(self.task_ends == self.num_batches):
            self._record_task(int(task))

    def _record_task(self, task):
        errors = task_errors(self.model, self.test)["sse"]
        values = {f"sse_task_{number + 1}": value for number, value in enumerate(errors)}
        self.metrics.append(self.num_batches, "task", task, values)
        images = {
            "reconstructions": self.model.reconstruct(self.test.images[self.shown]),
            "samples": self.model.generate(len(self.shown), self.seed),
        }
        images = {name: np.rint(255 * values).astype(int).tolist() for name, values in images.items()}
        self.tasks.append({"step": self.num_batches, "sse": errors.tolist(), **images})

    @property
    def errors_when_learnt(self):
        """Each task's error right after it, a float array of shape `(num_tasks,)`."""
        return np.array([record["sse"][task] for task, record in enumerate(self.tasks)])

    def observations(self):
        """Returns the arrays of `observations.npz` that tell of the stream and the memory, a dict."""
        truth = self.stream.truth
        arrays = {
            "class_names": np.array(truth.class_names, str),
            "phase_starts": truth.phase_starts // self.batch_size,
            "task_steps": np.array([record["step"] for record in self.tasks]),
            "task_sse": np.array([record["sse"] for record in self.tasks]),
            "task_images": self.test.images[self.shown],
            **{
                f"task_{name}": np.array([record[name] for record in self.tasks], np.uint8)
                for name in ("reconstructions", "samples")
            },
        }
        evolving = self.model.memory.long_term
        if evolving is not None:
            clusters = evolving.clusters()
            arrays |= {"cluster_images": clusters.images, "cluster_steps": evolving.creation_steps()}
        return arrays

    def get_state(self):
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        return {"num_batches": self.num_batches, "tasks": self.tasks}

    def set_state(self, state):
        """Takes up the state of `get_state`."""
        self.num_batches, self.tasks = state["num_batches"], state["tasks"]
