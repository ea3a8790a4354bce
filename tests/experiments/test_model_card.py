"""Checks that the card of a model says what it saw, what it keeps and how well it does."""

from ocm_tf.experiments.model_card import model_card


def make_files(**changes):
    config = {
        "script": "ocm_split_mnist", "preset": "small", "seed": 3, "dataset": "mnist", "data_source": "from TFDS",
        "command": "python scripts/ocm_split_mnist.py --seed 3", "started": "2026-01-02T03:04:05+00:00",
        "versions": {"python": "3.11.7", "tensorflow": "2.21.0", "keras": "3.15.1", "ocm_tf": "0.1.0"},
        "device": "a CPU", "git": {"commit": "0123456789abcdef", "dirty": True}, "changes": {"alpha": 2.0},
        "settings": {"dataset": "mnist", "alpha": 2.0, "track_bounds": None},
    }  # fmt: skip
    results = {
        "metrics": {"nll": 97.84263803, "log_likelihood": -97.84263803},
        "paper": {"nll": 132.07, "log_likelihood": None},
        "memory_samples": 1804, "memory_bytes": 1414336, "num_components": 2, "wall_seconds": 1814.6,
    }  # fmt: skip
    return config, {**results, **changes}


def test_says_what_the_model_saw_and_how_well_it_does():
    card = model_card(*make_files())
    for line in (
        "# Model of ocm_split_mnist, preset small, seed 3",
        "- data set: mnist (from TFDS)",
        "- command: `python scripts/ocm_split_mnist.py --seed 3`",
        "- code: version 0.1.0, commit 0123456789ab, with uncommitted changes",
        "- departs from its preset in: alpha=2.0",
        "- 2 component(s)",
        "| nll | 97.8426 | 132.07 |",
        "| log_likelihood | -97.8426 | – |",
        "| track_bounds | null |",
    ):
        assert line in card.splitlines()


def test_warns_of_training_samples_in_the_file_and_only_then():
    assert "**1,804 training samples** (1,414,336 bytes)" in model_card(*make_files())
    generators = model_card(*make_files(memory_samples=0, memory_bytes=800))
    assert "no training sample; 800 bytes of other state" in generators
    nothing = model_card(*make_files(memory_samples=None, memory_bytes=None, num_components=None))
    assert "nothing of its training images but the weights" in nothing
    assert "component" not in nothing and "training samples" not in nothing
