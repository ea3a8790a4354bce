"""Writes down what a continual classifier does: per epoch, and per experience on all of them."""

import time

import keras
import numpy as np

from ocm_tf.experiments.glr_bytes import state_bytes
from ocm_tf.experiments.glr_evaluation import Evaluator

STREAMS = ("test", "train")


class GLRRecorder(keras.callbacks.Callback):
    """Measures a classifier after every experience and keeps the accuracy matrix, the bytes and the times.

    Rows of `metrics.csv`: of stage `"fit"`, with the epoch as step, `training_accuracy` and `training_loss` (with
    replayed samples, over the epoch) and `val_accuracy` (on the experience's own training samples, before the epoch).
    Of stages `"test"` and `"train"`, the stream measured, with the number of the experience just learned as step and
    that of the one measured as experience, `eval_accuracy`, `eval_loss` and `forgetting`. Of stage `"state"`,
    `state_bytes` and `transient_bytes`. Accuracies are fractions, losses nats.

    The training stream is measured on the experiences learned so far. Experiences that share a test split, as those of
    CORe50 do, have one column.

    Args:
        table: `MetricsTable`.
        experiences: list of `Experience`.
        config: `GLRConfig`.
        sizes: `Sizes` of all experiences.
        best_state: the `BestState` of the run.

    Attributes:
        accuracies, losses: `{stream: list of rows, one for each experience learned}`.
        bytes: list of the bytes of state after each experience.
        transient_bytes: the largest number of further bytes the method needed.
        shares: list of rows, the share that minibatches of an experience have of each earlier one and of itself; empty
            for a method without replay.
        seconds: `{"train", "fit", "sample", "evaluate"}`, wall time.
    """

    def __init__(self, table, experiences, config, sizes, best_state):
        super().__init__()
        self.table, self.experiences, self.config, self.sizes = table, experiences, config, sizes
        self.best_state = best_state
        first = {}
        for experience in experiences:
            first.setdefault(id(experience.test), experience)
        self.tested = list(first.values())
        self.accuracies, self.losses = ({stream: [] for stream in STREAMS} for _ in range(2))
        self.bytes, self.transient_bytes, self.shares = [], 0, []
        self.seconds = dict.fromkeys(("train", "fit", "sample", "evaluate"), 0.0)
        self._evaluator, self._since = None, None

    def set_model(self, model):
        super().set_model(model)
        if self._evaluator is None or self._evaluator.model is not model:
            self._evaluator = Evaluator(model)

    def on_experience_begin(self, experience):
        self._since = time.perf_counter()
        self.model.seconds.update({"fit": 0.0, "sample": 0.0})

    def on_train_begin(self, logs=None):
        self.transient_bytes = max(self.transient_bytes, self.model.transient_num_bytes())
        self._record_shares()
        if self.config.measure_train and getattr(self.model, "trains_on_latents", False):
            self._evaluator.keep(("train", self.model.experience_index), self.model.training_inputs)

    def _record_shares(self):
        if not hasattr(self.model, "replay_shares"):
            return
        index, shares = self.model.experience_index, self.model.replay_shares()
        own, replayed = self.model.batch_split()
        # Without a buffer there are none.
        earlier = shares * replayed / (own + replayed) if len(shares) else np.zeros(index)
        # A resumed experience has a row already.
        self.shares[index:] = [[*earlier.tolist(), own / (own + replayed)]]

    def on_epoch_end(self, epoch, logs=None):
        values = {
            "training_accuracy": logs["accuracy"],
            "training_loss": logs["loss"],
            "val_accuracy": self.best_state.accuracies[epoch],
        }
        self.table.append(epoch, "fit", self.model.experience_index, values)

    def on_experience_end(self, experience):
        learned = self.model.experience_index - 1
        self._add_training_time()
        own = self.model.seconds
        self.seconds["train"] -= own["fit"] + own["sample"]
        for name, seconds in own.items():
            self.seconds[name] += seconds
        self._since = None
        began = time.perf_counter()
        self._measure("test", [(index, each.test) for index, each in enumerate(self.tested)], learned)
        if self.config.measure_train:
            splits = [(index, each.train) for index, each in enumerate(self.experiences[: learned + 1])]
            self._measure("train", splits, learned)
        self.seconds["evaluate"] += time.perf_counter() - began
        self._count_bytes(learned)

    def _measure(self, stream, splits, learned):
        results = [self._evaluator.measure((stream, index), split) for index, split in splits]
        accuracies, losses = zip(*results, strict=True)
        self.accuracies[stream].append(list(accuracies))
        self.losses[stream].append(list(losses))
        for index, (accuracy, loss) in enumerate(results):
            values = {"eval_accuracy": accuracy, "eval_loss": loss}
            if index < learned and len(self.tested) > 1:
                values["forgetting"] = self.accuracies[stream][index][index] - accuracy
            self.table.append(learned, stream, index, values)

    def _count_bytes(self, learned):
        measured = self.model.state_num_bytes()
        expected = state_bytes(self.config, self.sizes.after(learned + 1))
        if measured != expected:
            raise RuntimeError(f"the state takes {measured} bytes after experience {learned}, by formula {expected}.")
        self.bytes.append(measured)
        values = {"state_bytes": measured, "transient_bytes": self.transient_bytes}
        self.table.append(learned, "state", learned, values)

    def _add_training_time(self):
        now = time.perf_counter()
        self.seconds["train"] += now - self._since
        self._since = now

    def observations(self):
        """Returns the arrays of `observations.npz`: matrices (experience learned, experience measured) and bytes."""
        tables = {"minibatch_shares": self.shares}
        for prefix, stream in (("", "test"), ("train_", "train")):
            tables |= {f"{prefix}accuracy_matrix": self.accuracies[stream], f"{prefix}loss_matrix": self.losses[stream]}
        # Nothing was measured, or replayed, of what an experience's row leaves out.
        filled = {"minibatch_shares": 0.0}
        matrices = {name: _matrix(rows, filled.get(name, np.nan)) for name, rows in tables.items() if rows}
        return {"state_bytes": np.array(self.bytes), **matrices}

    def get_state(self):
        """Returns all that was measured, as a dict for JSON."""
        if self._since is not None:
            self._add_training_time()
        names = ("accuracies", "losses", "bytes", "transient_bytes", "shares", "seconds")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state):
        """Takes up the state of `get_state`."""
        for name, value in state.items():
            setattr(self, name, value)


def _matrix(rows, fill):
    matrix = np.full((len(rows), max(map(len, rows))), fill)
    for place, row in zip(matrix, rows, strict=True):
        place[: len(row)] = row
    return matrix
