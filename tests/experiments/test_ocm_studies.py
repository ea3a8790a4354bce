"""Checks the declarations of the ablation studies against the published numbers, and how they are scaled down."""

import dataclasses

import pytest

from ocm_tf.experiments.ocm_config import PAPER, PRESETS, SMALL, TINY
from ocm_tf.experiments.ocm_studies import STUDIES, describe_studies, full_scale_size, scaled

# Supplement: varied values, upper panel (stored samples, or components of a dynamic model), lower panel (NLL).
BATCH_SIZES = (10, 30, 64, 80, 100, 120)
PUBLISHED = {
    "stm_size": (
        "short_term_capacity", (300, 400, 512, 600, 700),
        (1204, 1609, 1605, 1444, 1324), (142.9, 129.5, 132.1, 133.1, 135.1),
    ),
    "lambda_1": (
        "transfer_threshold", (0.4, 0.5, 0.6, 0.7, 0.8),
        (1609, 1609, 1605, 1567, 64), (142.9, 129.5, 132.1, 135.1, 180.0),
    ),
    "lambda_2": (
        "expansion_threshold", (5, 10, 15, 20, 25, 30),
        (30, 5, 5, 3, 3, 2), (96.5, 127.0, 115.0, 124.0, 121.0, 125.0),
    ),
    "batch_size": (
        "batch_size", BATCH_SIZES, (1610, 1604, 1680, 1670, 1606, 1605), (128, 129, 125, 132.3, 122.3, 121.2),
    ),
    "batch_size_dynamic": (
        "batch_size", BATCH_SIZES, (5, 4, 5, 4, 8, 7), (124.2, 121.3, 115.0, 117.0, 114.0, 115.5),
    ),
    "alpha": (
        "alpha", (5, 10, 20, 30, 50, 70, 160),
        (161, 1605, 1622, 1609, 1598, 1603, 1605), (167, 115.9, 132.3, 137, 132, 136, 135),
    ),
}  # fmt: skip


def test_the_declarations_have_the_published_numbers():
    declared = {name: (study.setting, *list(zip(*study.points, strict=True))[:3]) for name, study in STUDIES.items()}
    assert declared == PUBLISHED
    doubtful = {name: [point.x for point in study.points if point.doubtful] for name, study in STUDIES.items()}
    assert {name: xs for name, xs in doubtful.items() if xs} == {
        "stm_size": [300, 400], "lambda_1": [0.4, 0.5], "batch_size": [64], "alpha": [10],
    }  # fmt: skip
    assert all(study.cautions for name, study in STUDIES.items() if doubtful[name])


def test_the_upper_panel_is_of_components_where_the_model_grows():
    measures = {name: study.measure for name, study in STUDIES.items()}
    growing = {name for name, measure in measures.items() if measure == "num_components"}
    assert growing == {"lambda_2", "batch_size_dynamic"}
    assert set(measures.values()) == {"num_components", "memory_samples"}


def test_a_study_changes_what_it_declares():
    base = {
        "memory": "cooperative", "selection": "similar", "kernel": "laplace_code", "transfer_threshold": 0.6,
        "objective": "elbo", "trigger": "gt", "seed_duplicate": True,
    }  # fmt: skip
    assert STUDIES["alpha"].changes(50, SMALL) == {**base, "dynamic": False, "alpha": 50}
    assert STUDIES["lambda_1"].changes(0.8, PAPER) == {**base, "dynamic": False, "transfer_threshold": 0.8}
    growing = {**base, "dynamic": True}
    lambda_2 = STUDIES["lambda_2"]
    assert lambda_2.changes(5, PAPER) == {**growing, "short_term_capacity": 500, "expansion_threshold": 5}
    # small has M = 128 and a threshold of 15 where the paper has 512 and 10.
    assert lambda_2.changes(5, SMALL) == {**growing, "short_term_capacity": 125, "expansion_threshold": 7.5}
    assert "trigger" not in lambda_2.changes(5, SMALL, named=["trigger"])


@pytest.mark.parametrize(
    ("setting", "values", "preset", "expected"),
    [
        ("short_term_capacity", (300, 400, 512, 600, 700), SMALL, [75, 100, 128, 150, 175]),
        ("batch_size", BATCH_SIZES, SMALL, [5, 15, 32, 40, 50, 60]),
        ("batch_size", (30, 64, 100), TINY, [8, 16, 25]),
        ("expansion_threshold", (5, 10, 30), TINY, [1, 2, 6]),
        ("transfer_threshold", (0.4, 0.8), TINY, [0.4, 0.8]),
        ("alpha", (5, 160), SMALL, [5, 160]),
    ],
)
def test_counts_and_jumps_keep_their_ratio_and_what_acts_through_the_kernel_its_value(
    setting, values, preset, expected
):
    assert [scaled(setting, value, preset) for value in values] == expected
    assert [scaled(setting, value, PAPER) for value in values] == list(values)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", STUDIES)
def test_every_point_is_a_setting_of_its_own_in_every_preset(name, preset):
    study, config = STUDIES[name], PRESETS[preset]
    made = {dataclasses.replace(config, **study.changes(point.x, config)) for point in study.points}
    assert len(made) == len(study.points)
    assert all(run.batch_size <= run.short_term_capacity and run.batch_size >= 2 for run in made)


@pytest.mark.parametrize(
    ("setting", "value", "size"),
    [
        ("short_term_capacity", 300, 1204),
        ("short_term_capacity", 400, 1609),
        ("short_term_capacity", 512, 1609),
        ("short_term_capacity", 600, 1444),
        ("short_term_capacity", 700, 1324),
        # 6,000 batches: the first round at the 51st, as the first batch counts twice, then every 52nd: 115 rounds.
        ("batch_size", 10, 10 + 114 * 15),
        # 750 batches: the first round at the 6th, then every 7th: 107 rounds.
        ("batch_size", 80, 80 + 106 * 15),
    ],
)
def test_the_size_at_full_scale_follows_from_the_schedule(setting, value, size):
    assert full_scale_size(setting, value) == size


def test_help_lists_the_values_of_presets_of_another_scale():
    text = describe_studies(PRESETS)
    assert "stm_size: size of the short-term memory, single VAE (short_term_capacity)" in text
    assert "      paper: 300, 400, 512, 600, 700\n" in text and "      small: 75, 100, 128, 150, 175\n" in text
    assert "      tiny: 1, 2, 3, 4, 5, 6\n" in text
    assert "stream:" not in text and "schedule" in text
