"""One run of class-incremental learning with exemplars: phases and model put together, trained, evaluated and saved."""

import dataclasses

import keras
import numpy as np

from ocm_tf import data
from ocm_tf.callbacks import Checkpoint, DivergenceGuard, Progress
from ocm_tf.errors import UserError
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.mnemonics_config import for_dataset, published_values
from ocm_tf.experiments.mnemonics_recorder import MnemonicsRecorder
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.files import write_atomically
from ocm_tf.memory import exemplar_quota
from ocm_tf.metrics import incremental_summary
from ocm_tf.models import IncrementalClassifier, Mnemonics
from ocm_tf.networks import RESIDUAL_NETWORKS, RandomCropFlip, ResidualFeatures
from ocm_tf.streams import (
    Experience,
    ExperienceSplit,
    class_incremental_experiences,
    drawn_classes,
    first_per_class,
    hold_out,
    shuffled_class_order,
)

# The usual values of these data sets; others are measured on the images of the first phase.
NORMALISATION = {
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2009, 0.1984, 0.2023)),
    "folder:imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_LEAST_STD = 1e-3
_MEASURED_IMAGES = 5000
_HELD_OUT_EVERY = 4

_LEVEL = (
    "inner_parameters",
    "inner_steps",
    "inner_learning_rate",
    "inner_batch",
    "theta_start",
    "outer_steps",
    "outer_epochs",
    "outer_batch_size",
    "exemplar_learning_rate",
    "num_halvings",
    "adjust_old",
    "validation",
    "unit_scale",
    "exemplar_loss",
)
_MODEL = (
    "method",
    "exemplars_per_class",
    "total_exemplars",
    "exemplar_dtype",
    "initial_scale",
    "freeze_old_rows",
    "imprint",
    "temperature",
    "distillation_weight",
    "less_forget_base",
    "margin",
    "top_k",
    "new_weight",
    "learning_rate",
    "milestones",
    "weight_decay",
    "batch_size",
    "balanced_epochs",
    "balanced_learning_rate",
    "balanced_milestones",
    "balanced_all",
    "mirror",
    "minibatches_per_step",
)


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is a `MnemonicsConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    seed = arguments.seed
    (dataset,) = data.load_domains(arguments.config.dataset, arguments.data_dir, say)
    keras.utils.set_random_seed(seed)
    try:
        config = for_dataset(arguments.config, arguments.named | arguments.changes.keys())
        experiences = build_experiences(config, dataset, seed)
        model = build_model(config, experiences, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    with RunDirectory(arguments.output).open(arguments, data_source=dataset.spec.source) as directory:
        recorder = MnemonicsRecorder(directory, experiences, config)
        learn(model, experiences, recorder, directory, arguments, config)
        metrics = summarise(recorder.measured)
        recorder.finish()
        write_atomically(directory.model_path, model.save)
        directory.write_results(
            metrics,
            paper={**dict.fromkeys(metrics), **published_values(config)},
            memory_samples=len(model.memory),
            memory_bytes=model.memory.num_bytes,
            num_components=1,
        )
    figures = draw_all(arguments.output)
    say(f"average accuracy {metrics['average_accuracy']:.2f} %, last phase {metrics['last_accuracy_fc']:.2f} %")
    say(f"{len(figures)} figures and the model are in {arguments.output}")
    return metrics


def build_experiences(config, dataset, seed):
    """Returns the list of `Experience` of the settings; for method=joint each brings the images of all classes so far.

    Raises:
        ValueError: if the data set has too few classes or images.
    """
    if config.choose_classes is not None:
        dataset = drawn_classes(dataset, config.choose_classes)
    if config.test_share is not None:
        dataset = pooled_anew(dataset, config.test_share, seed)
    if config.held_out:
        train, test = hold_out(dataset.train, _HELD_OUT_EVERY)
        dataset = dataclasses.replace(dataset, train=train, test=test)
    train = first_per_class(dataset.train, config.train_per_class)
    test = first_per_class(dataset.test, config.test_per_class)
    dataset = dataclasses.replace(dataset, train=train, test=test)
    num_classes, base, step = dataset.spec.num_classes, config.base_classes, config.classes_per_phase
    if base > num_classes or (num_classes - base) % step:
        raise ValueError(
            f"base_classes={base} and phases of {step} do not add up to the {num_classes} classes of the data set"
        )
    order_seed = 1993 + seed if config.order_seed is None else config.order_seed
    sizes = [base, *[step] * ((num_classes - base) // step)]
    experiences = class_incremental_experiences(dataset, shuffled_class_order(num_classes, order_seed), sizes)
    return experiences if config.method != "joint" else [_up_to(experiences, phase) for phase in experiences]


def pooled_anew(dataset, test_share, seed):
    """Splits all images of a data set anew, at random, into training and test images of each class."""
    images, labels = (
        np.concatenate([getattr(split, name) for split in (dataset.train, dataset.test)])
        for name in ("images", "labels")
    )
    rng, is_test = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        is_test[rows[: max(1, round(test_share * len(rows)))]] = True
    parts = [data.Split(images[rows], labels[rows]) for rows in (~is_test, is_test)]
    return dataclasses.replace(dataset, train=parts[0], test=parts[1])


def _up_to(experiences, last):
    """Returns an experience with the training images of all up to it."""
    parts = [experience.train for experience in experiences[: last.index + 1]]
    train = ExperienceSplit(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels")))
    return Experience(last.index, last.name, train, last.test, last.class_names)


def normalisation_of(config, experiences):
    """Returns mean and standard deviation of each channel, of pixels in [0, 1]."""
    if config.dataset in NORMALISATION:
        return NORMALISATION[config.dataset]
    images = experiences[0].train.images[:_MEASURED_IMAGES] / 255
    mean, std = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    return tuple(mean.tolist()), tuple(np.maximum(std, _LEAST_STD).tolist())


def build_model(config, experiences, seed):
    """Returns the compiled `Mnemonics`, or an `IncrementalClassifier` where pixels stay."""
    image_shape, num_classes = experiences[0].train.image_shape, len(experiences[0].class_names)
    inputs = keras.Input(image_shape)
    transfer = config.weight_transfer and config.method != "joint"
    features = ResidualFeatures(**RESIDUAL_NETWORKS[config.network], weight_transfer=transfer)
    augmentation = None
    if config.augmentation != "none":
        augmentation = RandomCropFlip(4 if config.augmentation == "crop" else None, seed=seed)
    trained = config.exemplars == "mnemonics" and config.method != "joint"
    mean, std = normalisation_of(config, experiences)
    settings = {name: getattr(config, name) for name in _MODEL + (_LEVEL if trained else ())}
    if config.method == "joint":
        settings["freeze_old_rows"] = False
    model = (Mnemonics if trained else IncrementalClassifier)(
        keras.Model(inputs, features(inputs), name="backbone"),
        num_classes,
        mean=mean,
        std=std,
        augmentation=augmentation,
        selection=config.exemplar_start if config.exemplars == "mnemonics" else config.exemplars,
        seed=seed,
        **settings,
    )
    model.compile()
    return model


def learn(model, experiences, recorder, directory, arguments, config):
    """Trains a model on all phases, or goes on with it in the midst of one, saving a checkpoint every so often.

    The level of the exemplars is not saved while it runs: a run stopped there does it again, with the same numbers.
    """
    checkpoint = Checkpoint(
        directory.checkpoint_path, stateful=[recorder, directory], every_seconds=arguments.checkpoint_seconds
    )
    if directory.resumed:
        checkpoint.restore(model)
    first = checkpoint.extra.get("phase", 0)
    model.experience_index = first
    total = sum(num_steps(experience, config) for experience in experiences)
    progress = Progress(
        total, start=checkpoint.position, quiet=arguments.quiet, status=lambda: _status(model, experiences)
    )
    with checkpoint:
        for experience in experiences[first:]:
            begun = checkpoint.extra.get("begun", 0)
            model.fit_experience(
                experience,
                epochs=config.epochs,
                callbacks=[DivergenceGuard(), progress, checkpoint],
                start=checkpoint.position - begun,
            )
            recorder.record(model, experience, checkpoint.position)
            checkpoint.extra = {"phase": experience.index + 1, "begun": checkpoint.position}
            checkpoint.save()


def _status(model, experiences):
    return {"phase": f"{model.experience_index + 1}/{len(experiences)}", "exemplars": len(model.memory)}


def num_steps(experience, config):
    """Returns about how many Keras steps a phase takes, for the progress bar."""
    # Joint training brings the images of old classes itself, so that its first label is 0.
    num_old = int(experience.train.labels.min())
    per_class = 0 if num_old == 0 else exemplar_quota(num_old, config.exemplars_per_class, config.total_exemplars)
    rows = len(experience.train) + num_old * per_class
    minibatches = -(-rows // config.batch_size)
    return config.epochs * -(-minibatches // config.minibatches_per_step)


def summarise(measured):
    """Sums up the phases.

    Args:
        measured: list of dicts of what was measured after each phase.

    Returns:
        dict, in percent: for each classifier `average_accuracy_`, `last_accuracy_`, `forgetting_` and the accuracy
        after each phase; `average_accuracy` is that of the head; the last `exemplar_margin`.
    """
    metrics = {}
    for classifier in ("fc", "nme", "fine_tuned"):
        if f"accuracy_{classifier}" not in measured[0]:
            continue
        accuracies, base = (
            [phase[f"{kind}_{classifier}"] for phase in measured] for kind in ("accuracy", "base_accuracy")
        )
        summary = incremental_summary(accuracies, base)
        metrics |= {
            f"average_accuracy_{classifier}": summary["average"],
            f"last_accuracy_{classifier}": summary["last"],
            f"forgetting_{classifier}": summary["forgetting"],
            **{f"accuracy_{classifier}_phase_{phase}": value for phase, value in enumerate(accuracies)},
        }
    margins = {"exemplar_margin": measured[-1]["exemplar_margin"]} if "exemplar_margin" in measured[-1] else {}
    return {"average_accuracy": metrics["average_accuracy_fc"], **metrics, **margins}
