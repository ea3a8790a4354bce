"""Checks that a run stopped at any moment and resumed ends bit for bit like one never stopped."""

import importlib.util
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ocm_tf.callbacks.checkpoint import Checkpoint
from ocm_tf.callbacks.interruption import Interrupted
from ocm_tf.callbacks.training_state import restore_state, save_state, state_variables
from ocm_tf.errors import UserError
from ocm_tf.experiments.metrics_table import read_metrics
from ocm_tf.files import DamagedFileError, load_arrays
from tests.killed_runs import ScriptRun, finish, run_through_stops

SCRIPT = Path(__file__).with_name("stream_run.py")
_spec = importlib.util.spec_from_file_location("stream_run", SCRIPT)
stream_run = importlib.util.module_from_spec(_spec)
sys.modules["stream_run"] = stream_run
_spec.loader.exec_module(stream_run)


class Stop(keras.callbacks.Callback):
    """Raises an exception or sends a signal after some batches."""

    def __init__(self, after, action):
        super().__init__()
        self.after, self.action = after, action

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.after:
            self.action()


def crash():
    raise RuntimeError("power cut")


def send(number):
    """Returns an action that sends this process a signal and waits until the watcher has seen it."""

    def action():
        os.kill(os.getpid(), number)
        time.sleep(0.2)

    return action


def arguments(path, *flags):
    return stream_run.parse(["--output", str(path), "--quiet", "--checkpoint-seconds", "0", *flags])


def final_state(path):
    """Returns the final variables and random states of a run, without what tells the time."""
    arrays = load_arrays(path / "final.npz")
    del arrays["digest"]
    return {**arrays, "manifest": json.loads(arrays["manifest"].tobytes())}


def assert_same_run(path, expected):
    ours, theirs = final_state(path), final_state(expected)
    assert ours.pop("manifest") == theirs.pop("manifest")
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    assert (path / "metrics.csv").read_bytes() == (expected / "metrics.csv").read_bytes()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of 12 batches that was never stopped, and saved nothing on the way."""
    path = tmp_path_factory.mktemp("runs") / "straight"
    stream_run.run(arguments(path, "--checkpoint-seconds", "1000"))
    return path


def test_the_run_changes_every_kind_of_state(straight):
    variables = final_state(straight)["manifest"]["variables"]
    names = [name.split()[0] for name in variables]
    assert len(set(names)) > 12
    for part in ("learner/memory", "loss/total", "adam/learner_sequential_dense_kernel_momentum", "Variable"):
        assert any(part in name for name in names), (part, names)
    assert sum("seed_generator_state" in name for name in names) == 3  # drop-out, helper, unseeded draws


@pytest.mark.parametrize("after", [1, 5, 12])
def test_resumes_bit_for_bit_after_a_crash(tmp_path, straight, after):
    with pytest.raises(RuntimeError, match="power cut"):
        stream_run.run(arguments(tmp_path), [Stop(after, crash)])
    assert not (tmp_path / "results.json").exists()
    # Whatever the process did meanwhile must not matter.
    keras.random.normal((3,)), np.random.normal(), random.random()
    stream_run.run(arguments(tmp_path, "--resume"))
    assert_same_run(tmp_path, straight)


def test_resumes_a_run_resumed_before(tmp_path, straight):
    for flags, after in (((), 4), (("--resume",), 3), (("--resume",), 2)):
        with pytest.raises(RuntimeError, match="power cut"):
            stream_run.run(arguments(tmp_path, *flags), [Stop(after, crash)])
    stream_run.run(arguments(tmp_path, "--resume"))
    assert_same_run(tmp_path, straight)
    assert read_metrics(tmp_path / "metrics.csv")["step"].tolist() == [n for n in range(1, 13) for _ in "ab"]


def test_resumes_between_training_and_results(tmp_path, straight):
    model = stream_run.run(arguments(tmp_path))
    (tmp_path / "results.json").unlink()
    (tmp_path / "final.npz").unlink()
    again = stream_run.run(arguments(tmp_path, "--resume"))
    np.testing.assert_array_equal(again.memory.numpy(), model.memory.numpy())
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_leaves_fit(tmp_path, straight, number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        stream_run.run(arguments(tmp_path, "--checkpoint-seconds", "1000"), [Stop(5, send(number))])
    assert (caught.value.position, caught.value.exit_status) == (5, 128 + number)
    assert signal.getsignal(number) is before
    stream_run.run(arguments(tmp_path, "--resume"))
    assert_same_run(tmp_path, straight)


def test_a_signal_after_the_last_batch_is_not_lost(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(Interrupted), checkpoint:
        send(signal.SIGTERM)()


def test_leaves_signals_alone_outside_the_main_thread(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def enter():
        with Checkpoint(tmp_path):
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_falls_back_on_the_previous_checkpoint(tmp_path, straight, caplog):
    with pytest.raises(RuntimeError):
        stream_run.run(arguments(tmp_path), [Stop(5, crash)])
    newest = tmp_path / "checkpoint" / "state.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING, "ocm_tf"):
        stream_run.run(arguments(tmp_path, "--resume"))
    assert [record.message.split(": ")[0].split(" (")[0] for record in caplog.records] == [
        f"{newest} is damaged or no .npz file"
    ]
    assert_same_run(tmp_path, straight)


def test_gives_up_if_all_checkpoints_are_damaged(tmp_path):
    with pytest.raises(RuntimeError):
        stream_run.run(arguments(tmp_path), [Stop(3, crash)])
    for path in (tmp_path / "checkpoint").iterdir():
        path.write_bytes(b"garbage")
    table = (tmp_path / "metrics.csv").read_bytes()
    with pytest.raises(UserError, match=r"no checkpoint is whole.*state\.npz.*state\.previous\.npz"):
        stream_run.run(arguments(tmp_path, "--resume"))
    assert (tmp_path / "metrics.csv").read_bytes() == table


def test_a_failed_save_keeps_the_older_ones(tmp_path):
    model = stream_run.make_model()
    checkpoint = Checkpoint(tmp_path / "checkpoint", [Unsaveable()])
    checkpoint.restore(model)
    checkpoint.stateful[0].fail = False
    checkpoint.save()
    whole = (tmp_path / "checkpoint" / "state.npz").read_bytes()
    checkpoint.stateful[0].fail = True
    with pytest.raises(TypeError):
        checkpoint.save()
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["state.npz"]
    assert (tmp_path / "checkpoint" / "state.npz").read_bytes() == whole


class Unsaveable:
    """Has a state that JSON may not know."""

    fail = False

    def get_state(self):
        return {"value": object() if self.fail else 1}

    def set_state(self, state):
        pass


def test_names_the_first_difference_of_another_configuration(tmp_path):
    save_state(tmp_path / "state.npz", stream_run.make_model())
    other = stream_run.make_model(width=6)
    before = [variable.numpy() for variable in state_variables(other)]
    difference = r"its variable \d+ is .*kernel float32\[8, 5\], here it is .*kernel float32\[8, 6\]"
    with pytest.raises(UserError, match="another configuration: " + difference):
        restore_state(tmp_path / "state.npz", other)
    for variable, value in zip(state_variables(other), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    with pytest.raises(UserError, match="its state 0 is nothing, here it is Unsaveable"):
        restore_state(tmp_path / "state.npz", stream_run.make_model(), [Unsaveable()])


def test_notices_altered_bytes(tmp_path):
    path = tmp_path / "state.npz"
    save_state(path, stream_run.make_model())
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="is missing"):
        restore_state(tmp_path / "none.npz", stream_run.make_model())
    model = stream_run.make_model()
    before = [variable.numpy() for variable in state_variables(model)]
    for position in rng.integers(len(content), size=40):
        altered = bytearray(content)
        altered[position] ^= 1 << rng.integers(8)
        path.write_bytes(altered)
        try:
            restore_state(path, model)
        except DamagedFileError:
            continue
        # A few bytes of an archive, such as dates, carry no content.
        for variable, value in zip(state_variables(model), before, strict=True):
            assert variable.shape == value.shape
    for length in rng.integers(len(content), size=20):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFileError):
            restore_state(path, model)


def test_finds_the_state_that_keras_does_not_list():
    class Helper:
        def __init__(self):
            self.seeds = [keras.random.SeedGenerator(1)]
            self.variable = keras.Variable(1.0)

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.helper = Helper()
            self.generator = tf.random.Generator.from_seed(1)
            self.dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(seed=shared))
            self.optimizers = {"second": keras.optimizers.SGD()}
            self.again = self.helper.seeds[0]

    shared = keras.random.SeedGenerator(2)
    model = Model()
    model.compile("sgd")
    found = [id(variable) for variable in state_variables(model)]
    assert len(found) == len(set(found))
    hidden = [
        model.helper.variable,
        shared.state,
        model.generator.state,
        *model.optimizers["second"].variables,
    ]
    listed = {id(variable) for variable in model.variables}
    assert all(id(variable) in found and id(variable) not in listed for variable in hidden)


def test_restores_an_optimizer_that_keras_builds_in_the_first_step(tmp_path):
    def make():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile("adam", "mse")
        return model

    inputs, targets = np.eye(3, dtype=np.float32), np.ones((3, 1), np.float32)
    model, other = make(), make()
    model.fit(inputs, targets, verbose=0)
    save_state(tmp_path / "state.npz", model, extra={"note": [1, "two"]})
    assert restore_state(tmp_path / "state.npz", other) == {"note": [1, "two"]}
    for each in (model, other):
        each.fit(inputs, targets, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel, other.layers[0].kernel)


def test_restores_bfloat16(tmp_path):
    def make():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16")])
        model.compile("sgd", "mse")
        return model

    model, other = make(), make()
    save_state(tmp_path / "state.npz", model)
    restore_state(tmp_path / "state.npz", other)
    assert np.array_equal(model.layers[0].kernel.numpy(), other.layers[0].kernel.numpy())


def test_counts_batches_over_several_fits_and_keeps_extra_values(tmp_path):
    model = stream_run.make_model()
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.restore(model) == 0
    checkpoint.extra["accuracies"] = [[0.5]]
    for _ in range(2):
        model.fit(stream_run.make_stream(3), callbacks=[checkpoint], verbose=0)
    model.memory.assign(keras.ops.ones_like(model.memory))
    checkpoint.save()
    again, other = Checkpoint(tmp_path), stream_run.make_model()
    assert again.restore(other) == 6
    assert again.extra == {"accuracies": [[0.5]]}
    # Between two calls of fit the model may be changed, and the next fit must leave it so.
    other.memory.assign(2 * other.memory)
    other.fit(stream_run.make_stream(1), callbacks=[again], verbose=0)
    assert other.memory.numpy()[:5].tolist() == [[2.0] * stream_run.SIZE] * 5
    assert again.position == 7


@pytest.mark.fault("killed: a run of a few steps", "SIGKILL at a random moment, resumed")
def test_resumes_bit_for_bit_after_sigkill(tmp_path, straight):
    path, run = tmp_path / "killed", ScriptRun("stream_run", ("pause=0.05",), "small", "tests/callbacks")
    run_through_stops(run, path, [signal.SIGKILL])
    stream_run.run(arguments(path, "--resume", "--set", "pause=0.05"))
    assert_same_run(path, straight)


@pytest.mark.slow
@pytest.mark.fault("killed: a run of many steps", "SIGKILL at a random moment, resumed", times=2)
@pytest.mark.fault("interrupted: a run of many steps", "SIGTERM or SIGINT at a random moment, resumed")
def test_resumes_bit_for_bit_after_sigkill_and_signals(tmp_path):
    """Kills real processes at random moments, interrupts others, and lets the last one finish."""
    stream_run.run(arguments(tmp_path / "straight", "--set", "num_batches=60"))
    path, settings = tmp_path / "killed", ("num_batches=60", "pause=0.05")
    run = ScriptRun("stream_run", settings, "small", "tests/callbacks")
    run_through_stops(run, path, [signal.SIGKILL, signal.SIGKILL, None], every_seconds=0.05)
    status, errors = finish(run.command(path, "--resume"))
    assert status == 0, errors
    assert_same_run(path, tmp_path / "straight")
