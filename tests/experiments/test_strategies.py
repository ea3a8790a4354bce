"""Checks the choice of devices, and a script's run on two of them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ocm_tf.errors import UserError
from ocm_tf.experiments.strategies import strategy_scope

ROOT = Path(__file__).parents[2]
# Logical devices must be made before TensorFlow's first operation.
RUN = """
import sys
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ocm_tf.experiments.ocm_config import COSTS, PRESETS
from ocm_tf.experiments.ocm_script import main
for strategy in ("single", "mirrored"):
    flags = ["--strategy", strategy, "--output", sys.argv[1] + strategy, *sys.argv[2:]]
    main("ocm_split_mnist", "", PRESETS, COSTS, flags)
"""
SHORT = ["train_per_class=12", "test_per_class=2", "epochs_per_batch=1", "hidden_units=12", "latent_dim=2"]
SHORT += ["eval_samples=2", "expansion_samples=2", "expansion_threshold=1.5", "short_term_capacity=32"]


def test_one_device_needs_no_scope_and_cannot_be_mirrored():
    with strategy_scope("single"):
        pass
    with pytest.raises(UserError, match=r"among several GPUs; TensorFlow sees .*CPU:0 alone"):
        strategy_scope("mirrored")


@pytest.mark.slow
@pytest.mark.parametrize("fused", ["false", "true"])
def test_a_script_trains_on_two_devices_as_on_one(tmp_path, fused):
    flags = ["--preset", "tiny", "--quiet", "--set", *SHORT, f"fused_optimizer={fused}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", RUN, f"{tmp_path}/", *flags]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1800)
    assert finished.returncode == 0, finished.stderr[-3000:]
    losses = {}
    for strategy in ("single", "mirrored"):
        assert json.loads((tmp_path / strategy / "config.json").read_text())["strategy"] == strategy
        with (tmp_path / strategy / "metrics.csv").open() as file:
            losses[strategy] = [float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "loss"]
    assert len(losses["single"]) >= 5
    # Rounding adds up over the updates of the stream.
    np.testing.assert_allclose(losses["mirrored"], losses["single"], rtol=1e-4)
    assert losses["mirrored"] != losses["single"]
