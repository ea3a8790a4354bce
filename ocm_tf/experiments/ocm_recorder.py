"""Writes down what an OCM run does: losses and sizes per batch, scores and stored samples per round."""

import keras
import numpy as np

from ocm_tf.experiments.domain_metrics import class_groups, stored_by_domain

_GRID = 64  # stored samples shown of one round
_MAX_GRIDS = 8  # rounds shown


class OCMRecorder(keras.callbacks.Callback):
    """Records a run for its table of metrics and its figures.

    It knows the stream's labels, which the model does not: stored samples are told by their position in the stream. The
    classes of a domain that has very many are counted together.

    Args:
        metrics: `MetricsTable`.
        stream: the `Stream` that the model learns.
        arrival_size: images in an arriving batch.
        round_batches: batches in a round, for memories that have no short-term memory to tell.
        transfer: the run's `MemoryTransfer`, or None.
        expansion: the run's `Expansion`, or None.
        tracker: `BoundTracker`, or None.
    """

    def __init__(self, metrics, stream, arrival_size, round_batches, transfer=None, expansion=None, tracker=None):
        super().__init__()
        self.metrics, self.stream = metrics, stream
        self.arrival_size, self.round_batches = arrival_size, round_batches
        self.transfer, self.expansion, self.tracker = transfer, expansion, tracker
        self.groups, self.group_names = class_groups(stream.truth)
        self.num_batches = self.num_rounds = 0
        self.grids = []  # (batch, positions of up to 64 stored samples)
        self.rounds = []  # (batch, scores, picked)
        self.status = {}  # to show while it runs: the NLL of what is remembered, in nats, once measured

    def on_train_batch_end(self, batch, logs=None):
        self.num_batches += 1
        memory = self.model.memory
        values = {"loss": logs["loss"], "num_components": self.model.num_components}
        if memory is None:
            self.metrics.append(self.num_batches, "train", None, values)
            return
        short_term, long_term = memory.short_term, memory.long_term
        if short_term is not None:
            values["short_term_size"] = len(short_term)
        if long_term is not None:
            values["long_term_size"] = len(long_term)
        self.metrics.append(self.num_batches, "train", None, values)
        is_round = self.num_batches % self.round_batches == 0 if short_term is None else short_term.is_full
        if is_round:
            self._record_round(memory)

    def _record_round(self, memory):
        self.num_rounds += 1
        values = {"num_components": self.model.num_components}
        if memory.long_term is not None:
            positions = memory.long_term.read().positions
            groups = self.groups[self.stream.truth.labels[positions]]
            counts = np.bincount(groups, minlength=len(self.group_names))
            values["long_term_size"] = len(positions)
            values |= {f"long_term_class_{group}": count for group, count in enumerate(counts)}
            values |= stored_by_domain(positions, self.stream.truth)
            self.grids.append(self._grid(positions))
        if self.expansion is not None and self.expansion.bound is not None:
            values |= {"bound": self.expansion.bound, "expanded": self.expansion.expanded}
            self.status = {"NLL": -self.expansion.bound}
        if self.transfer is not None:
            _, scores, picked = self.transfer.last_round
            values |= {"num_transferred": len(picked), "score_mean": scores.mean()}
            self.rounds.append((self.num_batches, scores.round(5).tolist(), picked.tolist()))
        if self.tracker is not None:
            values |= self.tracker.measure(self.model, self.num_rounds)
        self.metrics.append(self.num_batches, "round", None, values)

    def _grid(self, positions):
        shown = np.random.default_rng(self.num_batches).permutation(len(positions))[:_GRID]
        return self.num_batches, np.sort(positions[shown]).tolist()

    def observations(self):
        """Returns the arrays of `observations.npz` that tell of the memory, a dict."""
        truth = self.stream.truth
        arrays = {
            "class_names": np.array(self.group_names, str),
            "phase_starts": self._batches_of(truth.phase_starts),
            "domain_names": np.array(truth.domain_names, str),
            "domain_starts": self._batches_of(truth.domain_starts),
        }
        if self.grids:
            arrays |= self._grid_arrays()
        if self.rounds:
            width = max(len(scores) for _, scores, _ in self.rounds)
            arrays["score_steps"] = np.array([step for step, _, _ in self.rounds])
            arrays["scores"] = np.full((len(self.rounds), width), np.nan, np.float32)
            arrays["score_picked"] = np.zeros((len(self.rounds), width), bool)
            for row, (_, scores, picked) in enumerate(self.rounds):
                arrays["scores"][row, : len(scores)] = scores
                arrays["score_picked"][row, picked] = True
        return arrays

    def _grid_arrays(self):
        # What is held at the end too: the last round may have been an expansion, which clears the memory.
        grids = dict([*self.grids, self._grid(self.model.memory.long_term.read().positions)])
        chosen = np.unique(np.linspace(0, len(grids) - 1, _MAX_GRIDS).astype(int))
        steps = np.array(list(grids))[chosen]
        images = np.zeros((len(steps), _GRID, *self.stream.image_shape), np.uint8)
        for grid, step in zip(images, steps, strict=True):
            grid[: len(grids[step])] = self.stream.images_at(grids[step])
        counts = np.array([len(grids[step]) for step in steps])
        return {"long_term_grids": images, "long_term_steps": steps, "long_term_counts": counts}

    def _batches_of(self, positions):
        return positions // self.arrival_size

    def get_state(self):
        """Returns what a resumed run needs to go on alike, as a dict for JSON."""
        counts = {"num_batches": self.num_batches, "num_rounds": self.num_rounds}
        return {**counts, "grids": self.grids, "rounds": self.rounds}

    def set_state(self, state):
        """Takes up the state of `get_state`."""
        self.num_batches, self.num_rounds = state["num_batches"], state["num_rounds"]
        self.grids = [tuple(grid) for grid in state["grids"]]
        self.rounds = [tuple(round_) for round_ in state["rounds"]]
