"""Checks training on several devices against training on one: losses, weights, growth, files, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


# The first has all parts: a VAE and a classifier, each with an optimizer of its own, in components that grow.
@pytest.fixture(
    scope="module",
    params=["classifiers", pytest.param("vae mixture classifier", marks=pytest.mark.slow)],
)
def told(request, tmp_path_factory):
    """Returns what `data_parallel_run` tells; its logical devices need a process of their own."""
    arguments = [str(tmp_path_factory.mktemp("models")), *request.param.split()]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.models.data_parallel_run", *arguments]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert finished.returncode == 0, finished.stderr[-3000:]
    told = json.loads(finished.stdout.splitlines()[-1])
    assert told["devices"] == 2 and list(told["kinds"]) == request.param.split()
    return told


def test_two_devices_have_the_losses_and_weights_of_one(told):
    for result in told["kinds"].values():
        assert len(set(result["losses"])) == len(result["losses"]) == 8
        np.testing.assert_allclose(result["losses"], result["expected_losses"], rtol=1e-6)
        # Adam makes much of a rounding error where a gradient is nearly zero.
        assert result["weights_apart"] < 1e-4 and result["optimizer_apart"] < 1e-4
        assert result["copies_apart"] == 0


def test_a_mirrored_model_is_traced_as_often_as_one_that_is_not(told):
    for result in told["kinds"].values():
        mirrored, single = result["traces"]
        assert mirrored == single


def test_a_mirrored_mixture_grows(told):
    for kind, result in told["kinds"].items():
        assert result["components"] == ([2, 2] if kind in ("mixture", "classifiers") else [1, 1])


def test_only_weights_and_optimizers_are_mirrored(told):
    assert not any(result["memory_is_mirrored"] for result in told["kinds"].values())


def test_files_of_a_mirrored_model_are_read_on_one_device(told):
    for result in told["kinds"].values():
        assert result["loaded_apart"] == result["resumed_apart"] == 0


def test_what_cannot_be_mirrored_is_refused(told):
    refusals = told["refusals"]
    assert "OnlineClassifier with ResNet trains on one device" in refusals["resnet"]
    assert "TwoPathVAE trains on one device" in refusals["two_path"]
    assert "outside of the strategy's scope" in refusals["inside"]
