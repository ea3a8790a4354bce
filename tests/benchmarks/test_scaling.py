import copy
import json

import pytest
import scaling

RESULTS = {
    "machine": {"cpu": "a processor"},
    "stream": {"images": [2, 4], "cpu_ms": [1.0, 1.1], "resident_mb": [500.0, 501.0], "traces": 1},
    "memory": {"samples": [1, 2], "batch_ms": [1.0, 2.0], "round_ms": [3.0, 4.0], "resident_mb": [1, 2], "traces": 1},
    "components": {"components": [1, 2], "step_ms": [1, 1], "bound_ms": [1, 2], "resident_mb": [1, 2], "traces": 1},
}


def changed(part, **values):
    results = copy.deepcopy(RESULTS)
    results[part].update(values)
    return results


def test_what_should_not_grow_is_told():
    assert scaling.complaints(RESULTS) == []
    assert scaling.complaints(changed("memory", traces=2)) == ["memory: the step was traced 2 times"]
    grown = changed("stream", resident_mb=[500.0, 500.0 + scaling.MOST_GROWTH_MB + 1])
    assert scaling.complaints(grown) == ["stream: the resident memory grew from 500 to 517 MB"]


def test_the_figure_shows_all_three_series_from_the_file_alone(tmp_path, capsys):
    path, figure = tmp_path / "scaling.json", tmp_path / "scaling.png"
    path.write_text(json.dumps(RESULTS), encoding="utf-8")
    assert scaling.main(["--redraw", "--output", str(path), "--figure", str(figure)]) == 0
    assert figure.stat().st_size > 10_000
    lines = [line for axis in scaling.draw(RESULTS).axes for line in axis.lines]
    assert [list(line.get_ydata()) for line in lines[:2]] == [[1.0, 1.1], [1.0, 2.0]]
    assert len(lines) == 5 + 3


def test_a_violation_is_the_exit_status(tmp_path, capsys):
    path = tmp_path / "scaling.json"
    path.write_text(json.dumps(changed("components", traces=3)), encoding="utf-8")
    assert scaling.main(["--redraw", "--output", str(path), "--figure", str(tmp_path / "figure.png")]) == 1
    assert "traced 3 times" in capsys.readouterr().err


@pytest.mark.slow
def test_the_smallest_sizes_run_and_are_traced_once(tmp_path):
    results = scaling.measure(**scaling.QUICK)
    assert [results[name]["traces"] for name in ("stream", "memory", "components")] == [1, 1, 1]
    assert results["stream"]["images"] == [200, 500]
    for name, series in (("stream", "cpu_ms"), ("memory", "batch_ms"), ("components", "bound_ms")):
        assert len(results[name][series]) == len(results[name]["resident_mb"]) == 2
        assert min(results[name][series]) >= 0
