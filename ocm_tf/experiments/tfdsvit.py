"""One TFDSViT run: stream, model and memory put together from settings, trained, evaluated and saved."""

import keras
import numpy as np

from ocm_tf import data
from ocm_tf.callbacks.energy_expansion import EnergyExpansion
from ocm_tf.callbacks.interval_expansion import IntervalExpansion
from ocm_tf.errors import UserError
from ocm_tf.experiments.accuracy_metrics import accuracy_metrics, percent
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.stream_fit import fit_stream
from ocm_tf.experiments.tfdsvit_recorder import TFDSViTRecorder
from ocm_tf.files import save_arrays, write_atomically
from ocm_tf.memory import SlidingMemory
from ocm_tf.metrics import forgetting
from ocm_tf.models import SparseAttentionClassifier
from ocm_tf.networks import MLP, GaussianAutoencoder, GaussianEncoder, LinearAutoencoder, PatchAttention
from ocm_tf.streams import first_per_class, hold_out, label_groups


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is a `TFDSViTConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    config, seed = arguments.config, arguments.seed
    (dataset,) = data.load_domains(config.dataset, arguments.data_dir, say)
    keras.utils.set_random_seed(seed)
    try:
        stream, test = build_stream(config, dataset)
        model = build_model(config, stream.image_shape, len(stream.truth.class_names), seed)
        expansion = build_expansion(config, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    total = stream.num_batches(config.batch_size, drop_remainder=False)
    with RunDirectory(arguments.output).open(arguments, data_source=dataset.spec.source) as directory:
        recorder = TFDSViTRecorder(directory.metrics, stream, test, config, expansion, seed)
        # Also when a resumed run has no batch left and `fit` is not called.
        recorder.set_model(model)

        def batches(start):
            return stream.batches(config.batch_size, start, drop_remainder=False, labelled=True)

        fit_stream(model, total, batches, [expansion, recorder], directory, arguments, lambda: status_of(model))
        metrics = {**evaluate(model, test, recorder.component_classes(), config, seed), **recorder.summary()}
        metrics["forgetting"] = 100 * forgetting(recorder.accuracy_matrix(metrics)) if recorder.num_tasks > 1 else 0.0
        directory.metrics.append(total, "evaluate", None, metrics)
        save_arrays(directory.path / "observations.npz", recorder.observations())
        write_atomically(directory.model_path, model.save)
        directory.write_results(
            metrics,
            # Not found: the paper's tables could not be read.
            paper={"average_accuracy": None},
            memory_samples=len(model.memory),
            memory_bytes=model.memory.num_bytes,
            num_components=model.num_components,
        )
    figures = draw_all(arguments.output)
    counts = f"{model.num_components} component(s), {model.num_experts} expert(s)"
    say(f"average accuracy {metrics['average_accuracy']:.2f} %, {counts}; {len(figures)} figures and the model are in")
    say(f"{arguments.output}")
    return metrics


def build_stream(config, dataset):
    """Returns the `Stream` of the settings and the split, of test or validation images, that goes with it."""
    train, test = hold_out(dataset.train) if config.validation else (dataset.train, dataset.test)
    train, test = first_per_class(train, config.train_per_class), first_per_class(test, config.test_per_class)
    names, name = dataset.spec.class_names, dataset.spec.name
    return label_groups(train, names, config.classes_per_task, seed=None, name=name), test


def build_autoencoder(config, image_shape):
    """Returns the VAE of the settings."""
    num_pixels = int(np.prod(image_shape))
    if config.vae == "linear":
        return LinearAutoencoder(latent_dim=config.latent_dim)
    units, latent_dim = config.vae_units, config.latent_dim
    if config.vae == "mlp":
        encoder = GaussianEncoder(latent_dim, (units, units), "tanh")
        return GaussianAutoencoder(encoder, MLP((units, units, num_pixels), ("tanh", "relu")), latent_dim)
    # Departs from the paper: the code's VAE for colour has no nonlinearity but one sigmoid at its end.
    layers, (height, width, channels) = keras.layers, image_shape
    look = {"kernel_size": 3, "padding": "same"}
    encoder_layers = [layers.Conv2D(size, strides=2, activation="relu", **look) for size in (units, 2 * units)]
    encoder_layers.append(layers.Flatten())
    # Twice halved, rounded up; a decoder that doubles twice needs sides that are multiples of four.
    if height % 4 or width % 4:
        raise ValueError(f"vae=conv takes images whose sides are multiples of 4, got {height}x{width}.")
    small = (height // 4, width // 4, 2 * units)
    decoder_layers = [
        layers.Dense(int(np.prod(small)), activation="relu"),
        layers.Reshape(small),
        layers.Conv2DTranspose(units, strides=2, activation="relu", **look),
        layers.Conv2DTranspose(channels, strides=2, activation="sigmoid", **look),
    ]
    features, decoder = keras.Sequential(encoder_layers), keras.Sequential(decoder_layers)
    return GaussianAutoencoder(GaussianEncoder(latent_dim), decoder, latent_dim, features)


def build_head(config, num_classes):
    """Returns the classifier head of the settings."""
    layers = keras.layers
    # Departs from the paper: layer instead of batch normalization, so that images are judged one by one.
    hidden = [(layers.Dense(size), layers.LayerNormalization(), layers.LeakyReLU(0.2)) for size in config.head_units]
    return keras.Sequential([*(layer for group in hidden for layer in group), layers.Dense(num_classes)])


def build_augmentation(seed):
    """Returns the authors' distortion of colour images: turned by 20 degrees, shifted by a tenth, flipped."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomRotation(20 / 360, fill_mode="nearest", seed=seed + 1),
            layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", seed=seed + 2),
        ]
    )


def build_model(config, image_shape, num_classes, seed):
    """Returns the built and compiled `SparseAttentionClassifier`.

    Raises:
        ValueError: if images have no such patches.
    """
    height, width = image_shape[:2]
    if height != width or height % config.patches_per_side:
        raise ValueError(f"images of {height}x{width} have no {config.patches_per_side} whole patches along each side")
    memory = SlidingMemory(config.memory_capacity, image_shape, config.batch_size, config.held_back)
    names = ("kta", "gates", "temperature", "freeze_trunk", "kl_weight")
    names += ("epochs_per_batch", "steps_per_batch", "minibatch_size")
    model = SparseAttentionClassifier(
        PatchAttention(config.num_heads, height // config.patches_per_side, config.embed_dim, config.head_dim),
        build_head(config, num_classes),
        build_autoencoder(config, image_shape),
        image_shape,
        max_components=1 if config.expansion == "none" else config.max_components,
        augmentation=build_augmentation(seed) if config.augmentation else None,
        memory=memory,
        seed=seed,
        **{name: getattr(config, name) for name in names},
    )
    model.build((None, *image_shape))
    model.compile(
        keras.optimizers.Adam(config.learning_rate, epsilon=1e-8),
        keras.optimizers.Adam(config.vae_learning_rate, epsilon=1e-8),
    )
    return model


def build_expansion(config, seed):
    """Returns the callback that makes the model grow, or with `expansion=none` only keeps the memory in bounds."""
    common = {"block_size": config.block_size, "num_dropped": config.block_size, "seed": seed}
    if config.expansion == "interval":
        return IntervalExpansion(config.expansion_interval, **common)
    if config.expansion == "none":
        return EnergyExpansion(threshold=0.0, **common)
    return EnergyExpansion(
        threshold="auto" if config.threshold is None else config.threshold,
        scale=config.threshold_scale,
        block=config.energy_block,
        include_current=config.include_current,
        **common,
    )


def evaluate(model, test, component_classes, config, seed):
    """Measures a model on images of all tasks, each classified by the component it is routed to.

    Args:
        model: `SparseAttentionClassifier`.
        test: object with `images` and `labels`.
        component_classes: bool array of shape `(num_components, num_classes)`, which classes each has trained on.
        config: the settings.
        seed: seed of the codes drawn for routing.

    Returns:
        dict: those of `accuracy_metrics`; in percent `routing_accuracy`, the share of images that went to a component
        which trained on their class, and `task_assisted_accuracy`, the mean over tasks where all test images of a task
        go together to the component of the lowest mean loss, which takes knowing the task; `num_experts`,
        `parameters` and `parameters_without_vaes`, of all components.
    """
    errors, kls = model.losses_of(test.images, seed=seed)
    losses, labels = errors + model.kl_weight * kls, test.labels
    routes, tasks = losses.argmin(axis=1), labels // config.classes_per_task

    def answers(routes):
        return model.classify(test.images, routes=routes).argmax(axis=1) == labels

    of_task = np.array([losses[tasks == task].mean(axis=0).argmin() for task in range(tasks.max() + 1)])
    assisted = answers(of_task[tasks])
    metrics = accuracy_metrics(answers(routes), labels, routes, model.num_components, config.classes_per_task)
    metrics["routing_accuracy"] = percent(component_classes[routes, labels])
    metrics["task_assisted_accuracy"] = float(np.mean([percent(assisted[tasks == task]) for task in np.unique(tasks)]))
    sizes = count_parameters(model)
    metrics["num_experts"] = model.num_experts
    metrics["parameters"] = sum(sizes.values())
    metrics["parameters_without_vaes"] = metrics["parameters"] - sizes["vaes"]
    return metrics


def count_parameters(model):
    """Returns the number of trainable values of all components, by part, a dict; gates that are not used count not."""

    def size(layer):
        return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)

    num_gates = sum(model.num_superseded_heads(component) for component in range(model.num_components))
    return {
        "trunks": model.num_experts * size(model.trunk),
        "gates": num_gates * model.kta,
        "heads": model.num_components * size(model.head),
        "vaes": model.num_components * size(model.autoencoder),
    }


def status_of(model):
    """Returns what is shown beside the progress."""
    return {"N": model.num_components, "experts": model.num_experts, "memory": len(model.memory)}
