"""One DEMC run: stream, model, memory and callback put together from settings, trained, evaluated and saved."""

import keras
import numpy as np
from sklearn.manifold import TSNE

from ocm_tf import data
from ocm_tf.callbacks.cluster_expansion import ClusterExpansion
from ocm_tf.errors import UserError
from ocm_tf.experiments.demc_metrics import (
    CLASSES_PER_TASK,
    cluster_metrics,
    generation_metrics,
    latent_metrics,
    summarise_errors,
    task_errors,
)
from ocm_tf.experiments.demc_recorder import DEMCRecorder
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.image_metrics import load_classifier
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.stream_fit import fit_stream
from ocm_tf.files import save_arrays, write_atomically
from ocm_tf.memory import CooperativeMemory, EvolvingMemory, TemporaryMemory
from ocm_tf.models import TwoPathVAE
from ocm_tf.networks import RandomAffine, two_path_networks
from ocm_tf.streams import first_per_class, hold_out, label_groups

_NUM_SHOWN = 64
_NUM_EMBEDDED = 500
# Half of the usual number: on a busy machine the rest took as long as the training of a tiny run.
_TSNE_STEPS = 500


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is a `DEMCConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    config, seed = arguments.config, arguments.seed
    (dataset,) = data.load_domains(config.dataset, arguments.data_dir, say)
    try:
        if config.image_size is not None:
            dataset = data.shrink(dataset, config.image_size)
        stream, train, test = build_stream(config, dataset, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    total = stream.num_batches(config.batch_size)
    if total == 0:
        raise UserError(f"The stream has {len(stream)} images, fewer than one batch of {config.batch_size}.")
    classifier = load_classifier(dataset, arguments.data_dir, say)
    keras.utils.set_random_seed(seed)
    try:
        model = build_model(config, stream.image_shape, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    expansion = build_expansion(config, seed)
    with RunDirectory(arguments.output).open(arguments, data_source=data.describe_sources([dataset])) as directory:
        recorder = DEMCRecorder(directory.metrics, stream, test, config.batch_size, expansion, seed)
        # Also when a resumed run has no batch left and `fit` is not called.
        recorder.set_model(model)
        callbacks = [recorder] if expansion is None else [expansion, recorder]

        def batches(start):
            return stream.batches(config.batch_size, start)

        fit_stream(model, total, batches, callbacks, directory, arguments, lambda: _status(model))
        metrics = summarise_errors(task_errors(model, test), recorder.errors_when_learnt)
        metrics |= generation_metrics(model, test, classifier, seed)
        metrics |= latent_metrics(model, train, test)
        evolving = model.memory.long_term
        if evolving is not None:
            metrics |= cluster_metrics(
                stream.truth.labels[evolving.clusters().positions], len(stream.truth.class_names)
            )
        directory.metrics.append(total, "evaluate", None, metrics)
        observations = {**recorder.observations(), **show(model, test, seed)}
        save_arrays(directory.path / "observations.npz", observations)
        write_atomically(directory.model_path, model.save)
        write_results(directory, model, metrics)
    figures = draw_all(arguments.output)
    say(
        f"SSE {metrics['sse']:.2f} per image, classifier Frechet distance of samples "
        f"{metrics['classifier_frechet_distance']:.1f}, {metrics.get('num_clusters', 0)} clusters;"
    )
    say(f"{len(figures)} figures and the model are in {arguments.output}")
    return metrics


def build_stream(config, dataset, seed):
    """Returns the `Stream` of the settings, and the splits that latents are learnt from and everything is tested on."""
    train, test = hold_out(dataset.train) if config.validation else (dataset.train, dataset.test)
    train, test = first_per_class(train, config.train_per_class), first_per_class(test, config.test_per_class)
    names, order = dataset.spec.class_names, seed if config.shuffle else None
    return label_groups(train, names, CLASSES_PER_TASK, order, dataset.spec.name), train, test


def build_memory(config, image_shape, seed):
    """Returns the memory layer of the settings."""
    capacity, policy = config.temporary_capacity, config.temporary_policy
    if config.memory == "reservoir":
        capacity, policy = config.reservoir_size, "reservoir"
    temporary = TemporaryMemory(capacity, image_shape, config.batch_size, policy, seed)
    if config.memory != "clusters":
        return CooperativeMemory(temporary)
    evolving = EvolvingMemory(config.max_clusters, config.cluster_size, image_shape)
    return CooperativeMemory(temporary, evolving, seed_long_term=False)


def build_model(config, image_shape, seed):
    """Returns the built and compiled `TwoPathVAE`."""
    networks = two_path_networks(config.networks, image_shape, config.latent_dim, config.width, config.normalization)
    names = ("latent_dim", "paths", "own_encoder_optimizer", "extra_encoder_steps", "kl_weight", "adversarial_weight")
    names += ("penalty_weight", "prior", "penalty", "minibatch_size", "steps_per_batch")
    augmentation = None
    if config.augmentation or config.flips:
        augmentation = RandomAffine(config.augmentation, seed, config.flips)
    model = TwoPathVAE(
        **networks._asdict(),
        image_shape=image_shape,
        memory=build_memory(config, image_shape, seed),
        augmentation=augmentation,
        seed=seed,
        **{name: getattr(config, name) for name in names},
    )
    model.build((None, *image_shape))
    averaging = {"use_ema": True, "ema_momentum": config.weight_average} if config.weight_average else {}
    model.compile(
        keras.optimizers.RMSprop(config.learning_rate, **averaging),
        keras.optimizers.RMSprop(config.critic_learning_rate),
        keras.optimizers.Adam(config.encoder_learning_rate),
    )
    return model


def build_expansion(config, seed):
    """Returns the `ClusterExpansion` of the settings, or None where there are no clusters."""
    if config.memory != "clusters":
        return None
    names = ("query", "reduce", "symmetric", "statistics", "moments", "selection", "keep_new", "sample_errors")
    threshold = config.calibration if config.threshold is None else config.threshold
    return ClusterExpansion(threshold, seed=seed, **{name: getattr(config, name) for name in names})


def show(model, test, seed):
    """Returns the images of `observations.npz`, and the latents of test images in two dimensions, a dict."""
    order = np.random.default_rng(seed).permutation(len(test.labels))
    rows = order[:_NUM_SHOWN][np.argsort(test.labels[order[:_NUM_SHOWN]], kind="stable")]
    embedded = order[:_NUM_EMBEDDED]
    # There must be more images than neighbours.
    tsne = TSNE(perplexity=min(30, len(embedded) / 4), max_iter=_TSNE_STEPS, random_state=seed, n_jobs=1)
    return {
        "test_images": test.images[rows],
        "reconstructions": model.reconstruct(test.images[rows]),
        "generated": model.generate(_NUM_SHOWN, seed),
        "latent_plane": tsne.fit_transform(model.features(test.images[embedded])),
        "latent_labels": test.labels[embedded],
    }


def write_results(directory, model, metrics):
    """Writes `results.json`: metrics, and what is in memory. No value of the paper could be read."""
    buffers = [buffer for buffer in (model.memory.short_term, model.memory.long_term) if buffer is not None]
    directory.write_results(
        metrics,
        memory_samples=sum(map(len, buffers)),
        memory_bytes=sum(buffer.num_bytes for buffer in buffers),
        num_components=model.num_components,
    )


def _status(model):
    memory = model.memory
    status = {"temporary": len(memory.short_term)}
    return status if memory.long_term is None else {**status, "clusters": memory.long_term.num_clusters}
