"""One run on generative latent replay: a method learns the experiences of a stream one after the other."""

import keras
import numpy as np

from ocm_tf.callbacks.best_state import BestState
from ocm_tf.callbacks.divergence_guard import DivergenceGuard
from ocm_tf.callbacks.experience_checkpoint import ExperienceCheckpoint
from ocm_tf.callbacks.progress import Progress
from ocm_tf.errors import UserError
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.glr_bytes import Sizes, with_matched_buffer
from ocm_tf.experiments.glr_config import paper_values
from ocm_tf.experiments.glr_models import build_model, pretrained_backbone
from ocm_tf.experiments.glr_recorder import GLRRecorder
from ocm_tf.experiments.glr_streams import load_experiences
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.files import save_arrays, write_atomically
from ocm_tf.metrics import (
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    learning_accuracy,
)
from ocm_tf.models import GenerativeLatentReplay

_NUM_SHOWN = 8
_NUM_EMBEDDED = 100


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is a `GLRConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    config, seed = arguments.config, arguments.seed
    keras.utils.set_random_seed(seed)
    try:
        experiences, source = load_experiences(config, arguments.data_dir, say)
        image_shape, num_classes = experiences[0].train.image_shape, len(experiences[0].class_names)
        model = build_model(config, image_shape, num_classes, seed)
        sizes = _sizes(model, experiences)
        if config.match_bytes is not None:
            config = with_matched_buffer(config, sizes)
            model = build_model(config, image_shape, num_classes, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    with RunDirectory(arguments.output).open(arguments, data_source=source) as directory:
        best_state = BestState(config.patience, config.margin)
        recorder = GLRRecorder(directory.metrics, experiences, config, sizes, best_state)
        checkpoint = ExperienceCheckpoint(
            directory.checkpoint_path, [best_state, recorder, directory], arguments.checkpoint_seconds
        )
        loaded = checkpoint.load() if directory.resumed else None
        if loaded is not None:
            model = loaded
        elif config.pretrained_on is not None:
            path = directory.checkpoint_path / "pretrained.npz"
            weights = pretrained_backbone(config, num_classes, seed, path, arguments.data_dir, say)
            model = build_model(config, image_shape, num_classes, seed, weights)
        _learn(model, experiences, [DivergenceGuard(), best_state, recorder], checkpoint, config, arguments)
        metrics = {**summary(recorder), **_seconds(recorder)}
        save_arrays(directory.path / "observations.npz", {**recorder.observations(), **show(model, experiences, seed)})
        write_atomically(directory.model_path, model.save)
        directory.write_results(
            metrics,
            paper=paper_values(config, len(experiences[0].train)),
            memory_samples=num_kept(model),
            memory_bytes=recorder.bytes[-1],
        )
    figures = draw_all(arguments.output)
    say(
        f"average accuracy {metrics['average_accuracy']:.2f} %, {metrics['state_bytes']:,} bytes kept; "
        f"{len(figures)} figures and the model are in {arguments.output}"
    )
    return metrics


def _sizes(model, experiences):
    """Returns the `Sizes` of a model and a list of experiences."""
    image_shape = model.backbone.input_shape[1:]
    counts = [np.unique(each.train.labels, return_counts=True)[1] for each in experiences]
    num_weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    return Sizes(int(np.prod(image_shape)), model.latent_dim, num_weights, counts)


def _learn(model, experiences, callbacks, checkpoint, config, arguments):
    """Has a model learn all experiences that it has not learned yet."""
    per_epoch = -(-len(experiences[0].train) // (config.batch_size * config.minibatches_per_step))
    per_experience = config.epochs * per_epoch
    progress = Progress(
        len(experiences) * per_experience,
        quiet=arguments.quiet,
        status=lambda: {
            "experience": f"{model.experience_index + 1}/{len(experiences)}",
            "samples kept": num_kept(model),
            "generators": len(getattr(model, "generators", ())),
        },
    )
    with checkpoint:
        for index in range(model.experience_index, len(experiences)):
            # An experience may have ended early.
            progress.done = index * per_experience
            if index > 0 and config.later_learning_rate is not None:
                model.optimizer.learning_rate = config.later_learning_rate
            watchers = [*callbacks, progress, checkpoint]
            model.fit_experience(experiences[index], config.epochs, watchers, resume=checkpoint.resume)


def summary(recorder):
    """Computes the measures of a whole run.

    Args:
        recorder: `GLRRecorder` of a run that is through.

    Returns:
        dict: in percent `average_accuracy` and `average_incremental_accuracy`, and where the test splits differ
        `forgetting`, `backward_transfer`, `forward_transfer` (zero-shot), `learning_accuracy` and, experiences counted
        from 1, `accuracy_task_<i>`; `average_loss` in nats; `state_bytes` and `transient_bytes`.
    """
    matrix, losses = (np.array(rows["test"]) for rows in (recorder.accuracies, recorder.losses))
    fractions = {"average_accuracy": matrix[-1].mean()}
    if matrix.shape[1] == len(matrix) > 1:
        fractions |= {
            "average_incremental_accuracy": average_incremental_accuracy(matrix),
            "learning_accuracy": learning_accuracy(matrix),
            "forgetting": forgetting(matrix),
            "backward_transfer": backward_transfer(matrix),
            "forward_transfer": forward_transfer(matrix),
        }
        fractions |= {f"accuracy_task_{index + 1}": accuracy for index, accuracy in enumerate(matrix[-1])}
    else:
        # One test set for all experiences.
        fractions["average_incremental_accuracy"] = matrix.mean()
    return {
        **{name: 100 * float(value) for name, value in fractions.items()},
        "average_loss": float(losses[-1].mean()),
        "state_bytes": recorder.bytes[-1],
        "transient_bytes": recorder.transient_bytes,
    }


def num_kept(model):
    """Returns how many samples of the stream a model keeps, as images or latents; what generators drew is none."""
    if isinstance(model, GenerativeLatentReplay):
        return 0
    arrays = model.state_arrays()
    return len(arrays.get("labels", arrays.get("buffer_labels", ())))


def _seconds(recorder):
    return {f"seconds_{name}": round(value, 3) for name, value in recorder.seconds.items()}


def show(model, experiences, seed):
    """Returns further arrays of `observations.npz`: images of the first experiences, real and sampled latents.

    Latents are those of the first experience in the plane of t-SNE, which the names `embedded_...` have: real test
    latents and as many that its generator draws, with their labels.
    """
    shown = experiences[:5]
    arrays = {
        "class_names": np.array(experiences[0].class_names),
        "experience_names": np.array([each.name for each in experiences]),
        "stream_images": np.stack([_first_images(each) for each in shown]),
    }
    generators = getattr(model, "generators", [])
    if generators:
        arrays |= _embedded(model, experiences[0], generators[0], seed)
    return arrays


def _first_images(experience):
    """Returns the first test images of different classes, repeated if there are too few."""
    _, rows = np.unique(experience.test.labels, return_index=True)
    return experience.test.images[np.resize(rows, _NUM_SHOWN)]


def _embedded(model, experience, generator, seed):
    from sklearn.manifold import TSNE  # takes a second to import

    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(experience.test))[:_NUM_EMBEDDED])
    real = model.backbone.predict(experience.test.images[rows], verbose=0)
    sampled, labels = generator.sample(len(rows), seed=rng)
    tsne = TSNE(perplexity=min(30, len(rows) / 4), init="pca", random_state=seed, method="exact", max_iter=500)
    return {
        "embedded_latents": tsne.fit_transform(np.concatenate([real, sampled])).astype(np.float32),
        "embedded_labels": np.concatenate([experience.test.labels[rows], labels]),
    }
