"""Checks of every family of scripts that a run killed at random moments and resumed ends as one never killed."""

import signal

import pytest

from tests.killed_runs import ScriptRun, assert_same_run, finish, run_through_stops, span_of

OCM = ("train_per_class=40", "test_per_class=10", "epochs_per_batch=1", "hidden_units=12", "latent_dim=2",
       "eval_samples=5", "expansion_samples=5", "expansion_threshold=1.5")  # fmt: skip
CLASSIFICATION = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "hidden_units=8", "latent_dim=2",
                  "classifier_units=8", "eval_samples=2", "expansion_samples=2", "expansion_threshold=0.5",
                  "short_term_capacity=20", "memory_budget=60", "max_components=3")  # fmt: skip
DEMC = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "width=0.1", "latent_dim=2", "batch_size=8",
        "minibatch_size=8", "temporary_capacity=24", "cluster_size=6", "max_clusters=4",
        "calibration=auto")  # fmt: skip
TFDSVIT = ("train_per_class=20", "test_per_class=10", "steps_per_batch=1", "embed_dim=4", "head_dim=3", "head_units=6",
           "vae_units=6", "latent_dim=2", "memory_capacity=16", "block_size=8", "threshold_scale=0.57")  # fmt: skip
GLR = ("num_experiences=3", "num_train=120", "num_test=50", "epochs=4", "margin=0", "buffer_size=40", "batch_size=16",
       "patience=4", "learning_rate=0.2")  # fmt: skip
MNEMONICS = ("train_per_class=6", "test_per_class=4", "epochs=3", "milestones=2", "outer_steps=2", "inner_steps=2",
             "batch_size=16", "base_classes=4", "classes_per_phase=6", "minibatches_per_step=1")  # fmt: skip

RUNS = {
    "ocm, single": ScriptRun("ocm_split_mnist", (*OCM, "dynamic=false")),
    "ocm, dynamic": ScriptRun("ocm_split_mnist", OCM),
    "ocm classification": ScriptRun("ocm_classification", CLASSIFICATION),
    "demc": ScriptRun("demc_split_mnist", DEMC),
    "tfdsvit": ScriptRun("tfdsvit_split_mnist", TFDSVIT),
    "glr, drawn in every step": ScriptRun("glr_rotated_mnist", (*GLR, "sampling=per_batch")),
    "glr, latent replay": ScriptRun("glr_rotated_mnist", (*GLR, "method=latent_replay", "collect=first_epoch")),
    "glr, replay": ScriptRun("glr_rotated_mnist", (*GLR, "method=replay")),
    "glr, ewc": ScriptRun("glr_rotated_mnist", (*GLR, "method=ewc")),
    "mnemonics, trained exemplars": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=mnemonics")),
    "mnemonics, lucir": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=herding", "method=lucir")),
    "mnemonics, bic": ScriptRun("mnemonics_cifar100", (*MNEMONICS, "exemplars=herding", "method=bic")),
}
STOPS = [signal.SIGKILL, None, signal.SIGKILL]


def marked(name):
    killed = pytest.mark.fault(f"killed: {name}", "SIGKILL at a random moment, resumed", times=2)
    interrupted = pytest.mark.fault(f"interrupted: {name}", "SIGTERM or SIGINT at a random moment, resumed")
    return pytest.param(RUNS[name], marks=[killed, interrupted], id=name)


@pytest.mark.slow
@pytest.mark.parametrize("run", map(marked, RUNS))
def test_a_run_that_is_stopped_and_resumed_ends_as_one_never_stopped(run, tmp_path, straight):
    output, expected = tmp_path / "stopped", straight(run)
    run_through_stops(run, output, STOPS, span_of(expected))
    status, errors = finish(run.command(output, "--resume"))
    assert status == 0, errors
    assert_same_run(output, expected)
