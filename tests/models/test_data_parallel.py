"""Checks training on several devices against training on one: losses, weights, growth, files, refusals."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("vae", "mixture", "classifier", "classifiers")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Returns what `data_parallel_run` tells; its logical devices need a process of their own."""
    command = [sys.executable, "-m", "tests.models.data_parallel_run", str(tmp_path_factory.mktemp("models"))]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr[-3000:]
    results = json.loads(finished.stdout.splitlines()[-1])
    assert results["devices"] == 2
    return results


@pytest.mark.parametrize("kind", KINDS)
def test_two_devices_have_the_losses_and_weights_of_one(results, kind):
    result = results[kind]
    assert len(set(result["losses"])) == len(result["losses"]) == 8
    np.testing.assert_allclose(result["losses"], result["expected_losses"], rtol=2e-6)
    # Adam divides by the root of a square, which makes much of a rounding error where a gradient is nearly zero.
    assert result["weights_apart"] < 1e-4 and result["optimizer_apart"] < 1e-2
    assert result["copies_apart"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirrored_model_is_traced_as_often_as_one_that_is_not(results, kind):
    mirrored, single = results[kind]["traces"]
    assert mirrored == single


@pytest.mark.parametrize("kind", ["mixture", "classifiers"])
def test_a_mirrored_mixture_grows(results, kind):
    assert results[kind]["components"] == [2, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_only_weights_and_optimizers_are_mirrored(results, kind):
    assert not results[kind]["memory_is_mirrored"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_mirrored_model_are_read_on_one_device(results, kind):
    assert results[kind]["loaded_apart"] == 0
    assert results[kind]["resumed_apart"] == 0


def test_what_cannot_be_mirrored_is_refused(results):
    refusals = results["refusals"]
    assert "OnlineClassifier with ResNet trains on one device" in refusals["resnet"]
    assert "TwoPathVAE trains on one device" in refusals["two_path"]
    assert "outside of the strategy's scope" in refusals["inside"]
