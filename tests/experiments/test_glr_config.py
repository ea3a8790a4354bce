"""Checks the settings of the experiments on generative latent replay: presets, published values, refusals, studies."""

import dataclasses

import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.glr_config import (
    COMPARED,
    CORE50_COSTS,
    CORE50_PRESETS,
    COSTS,
    FAITHFUL,
    PERMUTED_PRESETS,
    ROTATED_PRESETS,
    GLRConfig,
    paper_values,
)
from ocm_tf.experiments.glr_studies import DESCRIPTIONS, STUDIES

PAPER, SMALL = ROTATED_PRESETS["paper"], ROTATED_PRESETS["small"]


def test_the_paper_preset_has_its_hyper_parameters():
    expected = {
        "network": "alexnet_small", "cut_layer": "flatten", "resized_to": 244, "num_experiences": 5, "num_train": None,
        "learning_rate": 0.001, "momentum": 0.9, "weight_decay": 0.0005, "epochs": 40, "patience": 1, "margin": 0.003,
        "batch_size": 64, "buffer_size": 6000, "batch_split": "released", "penalty_strength": 1.0, "stream_seed": 43769,
        "generator": "gmm", "num_components": 1, "sampling": "per_experience",
    }  # fmt: skip
    assert {name: getattr(PAPER, name) for name in expected} == expected
    release = ROTATED_PRESETS["release"]
    assert release.cut_layer == "dropout1"
    assert {name: getattr(release, name) for name in FAITHFUL} == FAITHFUL
    assert (SMALL.num_train, SMALL.num_test, SMALL.network, SMALL.buffer_size) == (10_000, 2_000, "lenet", 1000)
    assert SMALL.epochs <= 10
    assert {config.stream for config in PERMUTED_PRESETS.values()} == {"permuted"}
    core50 = CORE50_PRESETS["paper"]
    values = core50.batch_size, core50.epochs, core50.learning_rate, core50.later_learning_rate, core50.buffer_size
    assert values == (128, 4, 0.001, 5e-5, 1500)
    best = ROTATED_PRESETS["best"]
    assert dataclasses.replace(best, num_components=1, sampling="per_experience") == SMALL
    assert COSTS.keys() == ROTATED_PRESETS.keys() == PERMUTED_PRESETS.keys()
    assert CORE50_COSTS.keys() == CORE50_PRESETS.keys() == COSTS.keys() - {"best"}


@pytest.mark.parametrize(
    ("changes", "accuracy"),
    [
        ({}, 87.83),
        ({"stream": "permuted"}, 65.17),
        ({"method": "naive"}, 56.57),
        ({"method": "latent_replay"}, 93.64),
        ({"method": "replay", "buffer_size": 200}, 89.09),
        ({"method": "replay"}, None),
        ({"method": "replay", "buffer_size": 200, "match_bytes": "latent_replay"}, None),
        ({"method": "joint"}, None),
        ({"buffer_size": 600}, 73.72),
        ({"buffer_size": 15000}, 90.19),
        ({"buffer_size": 30000}, 91.50),
        ({"buffer_size": 30000, "stream": "permuted"}, None),
        ({"buffer_size": 600, "method": "latent_replay"}, None),
        ({"buffer_size": 3000}, None),
        ({"pretrained": True}, 82.72),
        ({"pretrained": True, "method": "latent_replay"}, None),
        ({"pretrained_on": "fashion_mnist"}, None),
        ({"dataset": "fashion_mnist"}, None),
    ],
)
def test_published_values_are_those_of_the_stream_the_method_and_the_buffer(changes, accuracy):
    config = dataclasses.replace(PAPER, **changes)
    assert paper_values(config, num_train=60_000)["average_accuracy"] == accuracy


def test_published_values_are_shown_beside_runs_of_another_scale():
    values = paper_values(SMALL, num_train=10_000)
    assert values == {"average_accuracy": 87.83, "forgetting": 13.68, "average_loss": 0.415}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
        ({"buffer_size": -1}, "buffer_size must not be negative, got -1"),
        ({"momentum": 1.0}, r"momentum and dropout must lie in \[0, 1\), got 1.0"),
        ({"stream": "NI"}, "stream=NI does not go with dataset=mnist"),
        ({"dataset": "core50"}, "stream=rotated does not go with dataset=core50"),
        ({"stream": "NI", "dataset": "core50", "validation": True}, "validation=true is for permuted and rotated"),
        ({"label_mode": "head", "sampling": "static"}, "label_mode=head needs sampling=per_experience, got static"),
        ({"quota": "last_g"}, "quota=last_g needs a quota_window"),
        ({"weights": "a.npz", "network": "lenet"}, "weights are read for alexnet_small and mobilenet_v2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PAPER, **changes)


def test_all_compared_settings_have_the_same_share_of_replay():
    configs = [dataclasses.replace(SMALL, **changes) for changes in COMPARED.values()]
    assert {(config.batch_split, config.replay_batch_size) for config in configs} == {("constant", None)}
    assert {config.method for config in configs} == {
        "naive", "ewc", "replay", "latent_replay", "generative_latent_replay", "joint",
    }  # fmt: skip


def test_every_study_makes_settings_that_fit_and_vary_something():
    assert STUDIES.keys() == DESCRIPTIONS.keys()
    for name, study in STUDIES.items():
        for config in (SMALL, ROTATED_PRESETS["tiny"]):
            settings = [dataclasses.replace(config, **changes) for changes in study(config).values()]
            assert len(set(settings)) == len(settings) > 1, name
    sizes = {config.buffer_size for config in map(lambda c: GLRConfig(**c), STUDIES["buffer_size"](SMALL).values())}
    assert sizes == {100, 1000, 2500, 5000}


def test_studies_say_what_they_need():
    with pytest.raises(UserError, match="study buffer_size takes shares of the training images: set num_train"):
        STUDIES["buffer_size"](PAPER)
    with pytest.raises(UserError, match="study pretrained needs a file of the backbone's weights"):
        STUDIES["pretrained"](CORE50_PRESETS["paper"])
    with_weights = dataclasses.replace(PAPER, weights="alexnet.npz")
    assert STUDIES["pretrained"](with_weights)["glr-pretrained"]["pretrained"] is True
