"""Reads damaged copies of every kind of input: each is refused in one clear line or read as what it says."""

import numpy as np
import pytest

from tests.fuzz import judging
from tests.fuzz.data_targets import data_targets
from tests.fuzz.judging import ACCEPTED, OTHER, REFUSED, Target, is_same, survey
from tests.fuzz.model_targets import checkpoint_target, heavy_targets
from tests.fuzz.mutations import damaged, in_place
from tests.fuzz.run_targets import run_targets


def assert_sound(target, tmp_path, num_inputs):
    counts, findings = survey(target, tmp_path, num_inputs)
    assert not findings, "\n".join(findings[:5])
    assert counts[REFUSED] > 0 and sum(counts.values()) == num_inputs


@pytest.mark.parametrize("target", [*data_targets(), *run_targets()], ids=lambda target: target.kind)
def test_damaged_inputs(target, tmp_path):
    assert_sound(target, tmp_path, 24 if target.cost == 1 else 6)


def test_damaged_checkpoints(tmp_path):
    assert_sound(checkpoint_target(), tmp_path, 8)


@pytest.mark.slow
@pytest.mark.parametrize("target", [*data_targets(), *run_targets(), *heavy_targets()], ids=lambda target: target.kind)
def test_many_damaged_inputs(target, tmp_path):
    assert_sound(target, tmp_path, max(20, 2000 // target.cost))


def text_target(read, **changes):
    def write(folder):
        (folder / "a.txt").write_text("whole")

    return Target("text", write, in_place(damaged, "a.txt"), read, is_same, **changes)


def survey_of(tmp_path, read, **changes):
    return survey(text_target(read, **changes), tmp_path, 20)


def test_the_judge_finds_other_errors_unclear_ones_and_wrong_readings(tmp_path):
    def read_text(folder):
        return (folder / "a.txt").read_text(encoding="latin-1")

    def crash(folder):
        if read_text(folder) != "whole":
            raise KeyError("a")

    def mumble(folder):
        if read_text(folder) != "whole":
            raise ValueError("something is wrong")

    def litter(folder):
        folder.with_name(f"stray-{len(read_text(folder))}").touch()
        return "whole"

    for name, read, finding in (
        ("a", crash, "KeyError"),
        ("b", read_text, "a wrong reading: "),
        ("c", mumble, "a message that names neither a.txt nor its folder"),
        ("d", litter, "files outside the folder"),
    ):
        (tmp_path / name).mkdir()
        counts, findings = survey_of(tmp_path / name, read, errors=(ValueError,))
        assert counts[OTHER] > 0 and finding in findings[0]
    (tmp_path / "e").mkdir()
    counts, findings = survey_of(tmp_path / "e", lambda folder: 1)
    assert counts == {ACCEPTED: 20} and not findings


def test_the_judge_finds_allocations_and_hangs(tmp_path, monkeypatch):
    def grab(folder):
        if (folder / "a.txt").read_bytes() != b"whole":
            try:
                np.empty(2**33, np.uint8)
            except MemoryError as error:
                raise ValueError(f"{folder} is damaged") from error

    def hang(folder):
        while (folder / "a.txt").read_bytes() != b"whole":
            pass

    (tmp_path / "a").mkdir()
    assert "memory asked for beyond the limit" in survey_of(tmp_path / "a", grab, errors=(ValueError,))[1][0]
    monkeypatch.setattr(judging, "MOST_SECONDS", 1)
    (tmp_path / "b").mkdir()
    assert "no answer within 1 s" in survey(text_target(hang), tmp_path / "b", 1)[1][0]
