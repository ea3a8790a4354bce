"""Checks that a series of runs skips what is finished, resumes what is not, and outlives a run that fails."""

import gc
import weakref

import numpy as np
import pytest

from ocm_tf.callbacks import DivergenceGuard
from ocm_tf.errors import DivergedError, UserError
from ocm_tf.experiments import ocm_config, parse_arguments, run_series
from tests.tiny import finish_run


def plan(output, *names, argv=()):
    argv = ["--preset", "tiny", "--output", str(output), *argv]
    texts = {"script": "ocm_split_mnist", "description": "", "costs": ocm_config.COSTS}
    arguments = parse_arguments(argv, presets=ocm_config.PRESETS, **texts)
    return [run_series.varied(arguments, name, 1, {"alpha": 2.0}) for name in names]


def test_a_run_of_a_series_has_its_own_seed_settings_and_directory(tmp_path):
    (arguments,) = plan(tmp_path, "a", argv=["--set", "beta=2", "alpha=3"])
    assert arguments.output == tmp_path / "a" and arguments.seed == 1 and arguments.resume
    assert (arguments.config.alpha, arguments.config.beta) == (2.0, 2.0)
    assert arguments.changes == {"beta": 2.0, "alpha": 2.0}
    assert not plan(tmp_path, "a", argv=["--overwrite"])[0].resume


def test_settings_that_are_refused_name_the_run(tmp_path):
    (arguments,) = plan(tmp_path, "a")
    with pytest.raises(UserError, match="half: batch_size must be at least 1, got 0"):
        run_series.varied(arguments, "half", 0, {"batch_size": 0})


def test_skips_what_is_finished_unless_told_to_overwrite(tmp_path):
    made, said = [], []
    planned = plan(tmp_path, "a", "b")
    finish_run(planned[0])
    assert run_series.make_runs(planned, lambda arguments, say: made.append(arguments), said.append) == {}
    assert made == planned[1:] and said == ["[1/2] a: finished before", "[2/2] b"]
    again = plan(tmp_path, "a", argv=["--overwrite"])
    run_series.make_runs(again, lambda arguments, say: made.append(arguments), said.append)
    assert made == [*planned[1:], *again]


def test_a_run_that_fails_does_not_stop_the_others(tmp_path, capsys):
    made, said = [], []

    def run(arguments, say):
        if arguments.output.name == "b":
            DivergenceGuard().on_train_batch_end(3, {"loss": np.nan})
        made.append(arguments.output.name)

    planned = plan(tmp_path, "a", "b", "c", "d")
    finish_run(plan(tmp_path, "c", argv=["--set", "beta=2"])[0])
    failures = run_series.make_runs(planned, run, said.append)
    assert made == ["a", "d"] and list(failures) == ["b", "c"]
    assert failures["b"] == "training has diverged: the loss is nan at batch 4; lower the learning rate"
    assert "finished run of other settings (beta was 2.0, now 1.0)" in failures["c"]
    assert said[1].startswith("[2/4] b  ETA 0:0") and said[2] == f"[2/4] b: failed: {failures['b']}"
    assert run_series.report_failures(failures) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("2 run(s) failed") and lines[1] == f"  b: {failures['b']}"
    assert run_series.report_failures({}) == 0 and capsys.readouterr().err == ""


def test_what_a_run_leaves_is_collected_and_what_was_there_before_is_not_looked_through(tmp_path):
    class Model:
        def __init__(self):
            self.step = lambda: self

    models, frozen = [], []

    def run(arguments, say):
        models.append(weakref.ref(Model()))
        frozen.append(gc.get_freeze_count())
        assert [reference() for reference in models[:-1]] == [None] * (len(models) - 1)

    run_series.make_runs(plan(tmp_path, "a", "b"), run, lambda line: None)
    assert [reference() for reference in models] == [None, None]
    assert min(frozen) > 0 and gc.get_freeze_count() == 0


def test_a_defect_of_the_program_is_not_hidden(tmp_path):
    def run(arguments, say):
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        run_series.make_runs(plan(tmp_path, "a"), run, lambda line: None)
    assert issubclass(DivergedError, UserError)


def test_the_time_left_counts_what_is_not_finished(tmp_path):
    planned = plan(tmp_path, "a", "b", "c")
    finish_run(planned[1])
    assert run_series._time_left(planned, []) == ""
    assert run_series._time_left(planned, [60.0, 120.0]) == "  ETA 0:03:00"
    assert run_series._time_left(plan(tmp_path, "b", argv=["--overwrite"]), [60.0]) == "  ETA 0:01:00"
