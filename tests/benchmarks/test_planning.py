import json
from dataclasses import replace

import planning
import pytest
from lines import LINES

from ocm_tf.errors import UserError
from ocm_tf.experiments.ocm_config import PRESETS
from ocm_tf.experiments.ocm_schedule import scheduled_updates

MEASURED = {
    "step_50": {"gflop_per_cpu_second": 50.0, "ours": {"peak_mb": 90.0}},
    "step_1": {"gflop_per_cpu_second": 20.0, "ours": {"peak_mb": 10.0}},
    "evaluation_1": {"gflop_per_cpu_second": 60.0, "ours": {"peak_mb": 40.0}},
}


def test_work_of_kernels_is_that_of_the_table():
    lines = {line.name: line for line in LINES}
    assert planning.update_gflop(784, 50) == pytest.approx(lines["step_50"].gflop, rel=0.01)
    assert planning.update_gflop(784, 1) == pytest.approx(lines["step_1"].gflop, rel=0.01)
    assert planning.bound_gflop(784, 1000) == pytest.approx(lines["evaluation_1"].gflop, rel=0.01)


def test_a_prediction_by_hand():
    config = replace(PRESETS["stream"], expansion_samples=1, eval_samples=1, routing_samples=1)
    workload = planning.Workload("one", config, 1024, 0, 784, 1)
    cost = planning.predict(workload, MEASURED)
    updates = scheduled_updates(config, 16)
    assert cost["updates"] == updates
    # Two rounds; the memory holds 64 seeds and what the second one moves.
    tests = 2 * (512 + (64 + 15) / 2) * planning.bound_gflop(784, 1) / 60
    expected = planning.START_UP_SECONDS + updates * planning.update_gflop(784, 1) / 20 + tests
    assert cost["core_hours"] == pytest.approx(expected / 3600)
    assert cost["resident_mb"] == pytest.approx(planning.BASE_MB + 2 * 1024 * 784 / 2**20 + 10)
    # A small network waits for launches on a GPU.
    assert cost["gpu_hours"] * 3600 - planning.START_UP_SECONDS == pytest.approx(updates * 1e-3, rel=0.01)


def test_the_document_takes_the_tables_between_its_markers(tmp_path):
    path, document = tmp_path / "results.json", tmp_path / "PLANNING.md"
    path.write_text(json.dumps({"lines": [{"name": name, **line} for name, line in MEASURED.items()]}))
    document.write_text(f"{planning.BEGIN}\n{planning.END}\n", encoding="utf-8")
    planning.main([str(path), "--document", str(document)])
    text = document.read_text(encoding="utf-8")
    assert all(workload.label in text for workload in planning.WORKLOADS)
    assert "50 GFLOP/s" in text and "90 and 10 MB" in text


def test_a_document_without_markers_is_refused(tmp_path):
    path, document = tmp_path / "results.json", tmp_path / "PLANNING.md"
    path.write_text(json.dumps({"lines": [{"name": name, **line} for name, line in MEASURED.items()]}))
    document.write_text("no markers", encoding="utf-8")
    with pytest.raises(UserError, match="once each"):
        planning.main([str(path), "--document", str(document)])


def test_the_document_in_the_repository_has_its_markers():
    text = (planning.Path(planning.__file__).parent / "PLANNING.md").read_text(encoding="utf-8")
    assert text.count(planning.BEGIN) == text.count(planning.END) == 1
