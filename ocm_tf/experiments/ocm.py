"""One OCM run: stream, model, memory and callbacks put together from settings, trained, evaluated and saved."""

from dataclasses import replace

import keras
import numpy as np

from ocm_tf import data
from ocm_tf.callbacks.expansion import Expansion
from ocm_tf.callbacks.memory_transfer import MemoryTransfer
from ocm_tf.callbacks.reservoir_transfer import ReservoirTransfer
from ocm_tf.errors import DivergedError, UserError
from ocm_tf.experiments.bound_tracker import BoundTracker
from ocm_tf.experiments.domain_metrics import class_groups, nll_by_domain, routed_by_domain, stored_by_domain
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.image_metrics import load_feature_networks, measure_images
from ocm_tf.experiments.ocm_config import paper_values
from ocm_tf.experiments.ocm_recorder import OCMRecorder
from ocm_tf.experiments.ocm_schedule import scheduled_long_term_size, scheduled_updates
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.strategies import strategy_scope
from ocm_tf.experiments.stream_fit import fit_stream
from ocm_tf.files import save_arrays, write_atomically
from ocm_tf.memory import CooperativeMemory, PackedSampleBuffer, RandomReplacementMemory, SampleBuffer, ShortTermMemory
from ocm_tf.models import VAE, VAEMixture
from ocm_tf.networks import MLP, GaussianEncoder, RandomAffine
from ocm_tf.optimizers import FusedAdam
from ocm_tf.streams import (
    as_stored,
    class_sorted,
    domain_sequence,
    evenly_spaced,
    first_per_class,
    hold_out,
    label_groups,
    shuffled,
)

_NUM_SHOWN = 64
_EVALUATED_TOGETHER = 500


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is an `OCMConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    config, seed = arguments.config, arguments.seed
    datasets = data.load_domains(config.dataset, arguments.data_dir, say)
    if config.image_metrics:
        if len(datasets) > 1:
            raise UserError("image metrics compare with one data set; set image_metrics=false for several")
        # Before the run, so that a wrong file of weights does not end it.
        networks = load_feature_networks(datasets[0], arguments.data_dir, config.inception_weights, say)
    keras.utils.set_random_seed(seed)
    try:
        stream, test = build_domains(config, datasets, seed)
        total = num_batches(stream, config)
        if config.memory == "reservoir" and config.long_term_limit is None:
            config = replace(config, long_term_limit=scheduled_long_term_size(config, total))
        model = build_model(config, stream.image_shape, seed, arguments.strategy)
        rules = build_rules(config, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    with RunDirectory(arguments.output).open(arguments, data_source=data.describe_sources(datasets)) as directory:
        tracker = None if config.track_bounds is None else BoundTracker(test.images, config.track_bounds, seed=seed)
        recorder = learn(model, stream, rules, directory, arguments, config, tracker)
        watch = None if arguments.quiet else say
        metrics = evaluate(model, test, config.eval_samples, seed, config.routing_samples, watch, stream.truth)
        if getattr(model.memory, "long_term", None) is not None:
            metrics |= stored_by_domain(model.memory.long_term.read().positions, stream.truth)
        if config.image_metrics:
            metrics |= measure_images(model, test, networks, config.image_samples, seed)
        directory.metrics.append(total, "evaluate", None, metrics)
        observations = {**recorder.observations(), **show(model, test, seed, stream.truth)}
        save_arrays(directory.path / "observations.npz", observations)
        write_atomically(directory.model_path, model.save)
        write_results(directory, model, metrics, paper_values(config))
    figures = draw_all(arguments.output)
    say(f"NLL {metrics['nll']:.2f} nats per image, {model.num_components} component(s); {len(figures)} figures and")
    say(f"the model are in {arguments.output}")
    return metrics


def num_batches(stream, config):
    """Returns the number of batches of a stream.

    Raises:
        UserError: if the stream is shorter than a batch.
    """
    total = stream.num_batches(config.arrival_size, config.drop_remainder)
    if total == 0:
        raise UserError(f"The stream has {len(stream)} images, fewer than one batch of {config.arrival_size}.")
    return total


def learn(model, stream, rules, directory, arguments, config, tracker=None, labelled=False):
    """Trains a model on a stream, or goes on with it, saving a checkpoint every so often.

    Args:
        model: built and compiled `OnlineModel`.
        stream: the `Stream` it learns.
        rules: callbacks by name, as `build_rules` returns them.
        directory: the open `RunDirectory`.
        arguments: `Arguments` of the run.
        config: the settings.
        tracker: the run's `BoundTracker`, or None.
        labelled: whether the model is given the labels.

    Returns:
        The `OCMRecorder` of the run.
    """
    total = num_batches(stream, config)
    round_batches = -(-config.short_term_capacity // config.batch_size)
    recorder = OCMRecorder(directory.metrics, stream, config.arrival_size, round_batches, **rules, tracker=tracker)
    # Also when a resumed run has no batch left and `fit` is not called.
    recorder.set_model(model)
    callbacks = [rule for rule in rules.values() if rule is not None]
    if config.memory == "reservoir":
        callbacks.insert(0, ReservoirTransfer(config.long_term_capacity, arguments.seed))
    callbacks.append(recorder)

    def batches(start):
        return stream.batches(config.arrival_size, start, config.drop_remainder, labelled)

    fit_stream(model, total, batches, callbacks, directory, arguments, lambda: {**recorder.status, **_status(model)})
    return recorder


def build_domains(config, datasets, seed):
    """Returns the `Stream` of one or more data sets, one after the other, and their test images together."""
    if len(datasets) == 1:
        return build_stream(config, datasets[0], seed)
    trains, tests = zip(*(take_images(config, dataset) for dataset in datasets), strict=True)
    specs, name = [dataset.spec for dataset in datasets], config.dataset
    if config.stream == "shuffled":
        # Joint training mixes the domains too.
        train, truth = _pool(trains, specs)
        domains = {"domain_names": truth.domain_names, "class_domains": truth.class_domains}
        stream = order_images(config, train, truth.class_names, name, seed, **domains)
    else:
        parts = zip(trains, specs, strict=True)
        streams = [order_images(config, train, spec.class_names, spec.name, seed) for train, spec in parts]
        stream = domain_sequence(streams, name)
    return stream, _pool(tests, specs)[0]


def _pool(splits, specs):
    """Returns the images of several domains as one `Split`, labelled as in their sequence, and its `StreamTruth`."""
    parts = zip(splits, specs, strict=True)
    whole = domain_sequence([as_stored(split, spec.class_names, spec.name) for split, spec in parts], "pooled")
    return data.Split(whole.images_at(slice(None)), whole.truth.labels), whole.truth


def build_stream(config, dataset, seed):
    """Returns the `Stream` of one data set and the test split that goes with it."""
    train, test = take_images(config, dataset)
    return order_images(config, train, dataset.spec.class_names, dataset.spec.name, seed), test


def take_images(config, dataset):
    """Returns the training and the test split of a data set, reduced to as many images as the settings say."""
    train, test = hold_out(dataset.train) if config.validation else (dataset.train, dataset.test)
    if dataset.spec.name in config.unsorted:
        return evenly_spaced(train, config.train_unsorted), evenly_spaced(test, config.test_unsorted)
    return first_per_class(train, config.train_per_class), first_per_class(test, config.test_per_class)


def order_images(config, train, class_names, name, seed, **domains):
    """Returns the `Stream` of training images in the order of the settings; `domains` is for images of several."""
    if config.num_passes != 1 and config.stream != "shuffled":
        raise ValueError(f"A stream of order {config.stream} is read once; num_passes is {config.num_passes}.")
    if config.stream == "shuffled":
        num_images = config.num_passes * len(train.labels)
        if config.memory == "joint":
            num_images = scheduled_updates(config, len(train.labels) // config.batch_size) * config.batch_size
        return shuffled(train, class_names, num_images, seed, name, **domains)
    if name in config.unsorted:
        # Departs from the paper: the authors take Omniglot in the order of its .mat file, here it is the stored order,
        # which mixes alphabets.
        return as_stored(train, class_names, name)
    if config.stream == "class_sorted":
        return class_sorted(train, class_names, name)
    return label_groups(train, class_names, 2, seed, name)


def build_memory(config, image_shape, seed):
    """Returns the memory layer of the settings, or None."""
    if config.memory == "none":
        return None
    if config.memory == "random_replacement":
        return RandomReplacementMemory(SampleBuffer(config.limit, image_shape), seed)
    only_newest = config.memory in ("newest", "joint")
    capacity = config.arrival_size if only_newest else config.short_term_capacity
    trigger = "ge" if only_newest else config.trigger
    short_term = ShortTermMemory(capacity, image_shape, config.arrival_size, trigger)
    if only_newest or config.memory == "short_term":
        return CooperativeMemory(short_term)
    # A round may begin just below the limit, and an empty memory takes in a whole batch.
    capacity = config.long_term_capacity + config.max_transferred + config.batch_size
    return CooperativeMemory(
        short_term,
        _long_term_memory(config, capacity, image_shape, seed),
        seed_long_term=config.memory == "cooperative",
        seed_duplicate=config.seed_duplicate,
        replay_limit=None if config.memory_bits == 8 else config.limit,
        seed=seed,
    )


def _long_term_memory(config, capacity, image_shape, seed):
    if config.memory_bits == 8:
        return SampleBuffer(capacity, image_shape)
    return PackedSampleBuffer(capacity, image_shape, config.memory_bits, seed)


def layer_units(config):
    """Returns the units of the encoder's shared layers and of its component's, two tuples, and their activation."""
    units = config.hidden_units
    if config.network == "mlp":
        return (units,), (units,), "tanh"
    # Departs from the paper: its network for CIFAR10 was not found. This is a later paper's of the same authors, whose
    # activation was not found either: 2000-1500-1000 and 600-300-200 for 200 units.
    return (10 * units, 15 * units // 2, 5 * units), (3 * units, 3 * units // 2, units), "relu"


def build_model(config, image_shape, seed, strategy="single"):
    """Returns the built and compiled model: a `VAEMixture` if it grows, else a `VAE` of the same layers."""
    if config.dynamic:
        model = VAEMixture(**mixture_arguments(config, image_shape, seed))
    else:
        model = VAE(**vae_arguments(config, image_shape, seed), **whole_networks(config, image_shape))
    with strategy_scope(strategy):
        model.build((None, *image_shape))
        model.compile(build_optimizer(config))
    return model


def online_arguments(config, image_shape, seed):
    """Returns the arguments that every `OnlineModel` takes, a dict."""
    return {
        "memory": build_memory(config, image_shape, seed),
        # A joint model takes what arrives once; the stream brings each image as often as there are updates for.
        "epochs_per_batch": 1 if config.memory == "joint" else config.epochs_per_batch,
        "steps_per_batch": None if config.memory == "joint" else config.steps_per_batch,
        "minibatch_size": config.batch_size,
        "drop_remainder": config.drop_remainder,
        "seed": seed,
    }


def vae_arguments(config, image_shape, seed):
    """Returns the arguments of a `VAE` but for its networks, a dict."""
    names = ("latent_dim", "objective", "num_samples", "kl", "likelihood", "beta")
    own = {name: getattr(config, name) for name in names}
    if config.augmentation:
        own["augmentation"] = RandomAffine(config.augmentation, seed, share=config.augmented_share)
    return {**online_arguments(config, image_shape, seed), "image_shape": image_shape, **own}


def mixture_arguments(config, image_shape, seed):
    """Returns the arguments of a `VAEMixture`, a dict."""
    networks = shared_networks(config, image_shape)
    if not config.share_layers:
        networks = {name: keras.layers.Identity() for name in ("shared_encoder", "shared_decoder")}
        networks |= whole_networks(config, image_shape)
    return {
        **vae_arguments(config, image_shape, seed),
        **networks,
        "max_components": config.max_components,
        "train_shared_after_expand": config.train_shared_after_expand,
        "warm_start": config.warm_start,
    }


def shared_networks(config, image_shape):
    """Returns encoder and decoder in two parts each, shared by all components and a component's own, a dict."""
    shared, component, activation = layer_units(config)
    latent_dim, dtype = config.latent_dim, config.matmul_dtype
    # The decoder has the encoder's layers in reverse: what it shares mirrors the component's and the other way round.
    return {
        "shared_encoder": MLP(shared, activation, activation, dtype),
        "encoder": GaussianEncoder(latent_dim, component, activation, dtype),
        "shared_decoder": MLP(component[::-1], activation, activation, dtype),
        "decoder": MLP((*shared[::-1], int(np.prod(image_shape))), "relu", matmul_dtype=dtype),
    }


def whole_networks(config, image_shape):
    """Returns encoder and decoder of the same layers in one part each, a dict."""
    shared, component, activation = layer_units(config)
    activations = (activation,) * len(component) + ("relu",) * len(shared)
    units, dtype = (*component[::-1], *shared[::-1], int(np.prod(image_shape))), config.matmul_dtype
    return {
        "encoder": GaussianEncoder(config.latent_dim, (*shared, *component), activation, dtype),
        "decoder": MLP(units, activations, matmul_dtype=dtype),
    }


def build_optimizer(config):
    """Returns the optimizer of the VAE."""
    # Keras' own default for epsilon is 1e-7; the authors' code has 1e-8.
    averaging = {"use_ema": True, "ema_momentum": config.weight_average} if config.weight_average else {}
    optimizer = FusedAdam if config.fused_optimizer else keras.optimizers.Adam
    return optimizer(config.learning_rate, beta_1=config.beta_1, epsilon=1e-8, **averaging)


def build_rules(config, seed):
    """Returns the callbacks `transfer` and `expansion` of the settings, None where there is none."""
    transfer = expansion = None
    if config.memory == "cooperative":
        names = ("selection", "kernel", "alpha", "max_transferred", "when_full", "skip_first_round")
        names += ("features", "scale_distance", "resample")
        transfer = MemoryTransfer(
            threshold=config.transfer_threshold,
            long_term_limit=config.long_term_capacity,
            seed=seed,
            **{name: getattr(config, name) for name in names},
        )
    if config.dynamic:
        if config.memory in ("none", "random_replacement"):
            raise ValueError(f"The expansion test needs a short-term memory; memory={config.memory} has none.")
        expansion = Expansion(
            threshold=config.expansion_threshold,
            num_samples=config.expansion_samples,
            components=config.expansion_bound,
            keep_transferred=transfer if config.order == "expand_first" else None,
            seed=seed,
            **{name: getattr(config, name) for name in ("reference", "clear_long_term", "check_every", "grey_input")},
        )
    return {"transfer": transfer, "expansion": expansion}


def evaluate(model, test, num_samples, seed, routing_samples=None, say=None, truth=None):
    """Measures the log-likelihood of test images, each under the component it is routed to.

    Args:
        model: a `VAE`.
        test: object with `images` and `labels`.
        num_samples: latent draws K of the bound.
        seed: seed of the one binarisation of the test images and of the latent draws.
        routing_samples: latent draws by which images are routed; None takes `num_samples`.
        say: called with a line of progress, or None.
        truth: `StreamTruth` of a stream whose domains are told apart, or None.

    Returns:
        dict: `log_likelihood` and `nll`, means over all images in nats per image, and `nll_class_<c>`, where the
        classes of a domain that has very many count as one; for each of several domains, what `nll_by_domain` and
        `routed_by_domain` give.

    Raises:
        DivergedError: if the bound of an image is not finite.
    """
    inputs = np.asarray(model.binarised(test.images, seed))
    bounds, routes = [], []
    for start in range(0, len(inputs), _EVALUATED_TOGETHER):
        part = inputs[start : start + _EVALUATED_TOGETHER]
        draw = {"seed": 2 * (seed + start), "routing_samples": routing_samples}
        part_bounds, part_routes = model.routed_log_likelihood(part, num_samples, **draw)
        bounds.append(part_bounds)
        routes.append(part_routes)
        if say is not None and start + len(part) < len(inputs) and start % (4 * _EVALUATED_TOGETHER) == 0:
            say(f"evaluated {start + len(part)} of {len(inputs)} test images")
    nlls, labels = -np.concatenate(bounds).astype(np.float64), test.labels
    if not np.isfinite(nlls).all():
        count = np.count_nonzero(~np.isfinite(nlls))
        raise DivergedError(f"training has diverged: {count} test images have no finite bound; lower the learning rate")
    groups = labels if truth is None else class_groups(truth)[0][labels]
    metrics = {"log_likelihood": float(-nlls.mean()), "nll": float(nlls.mean())}
    metrics |= {f"nll_class_{group}": float(nlls[groups == group].mean()) for group in np.unique(groups)}
    if truth is not None:
        metrics |= nll_by_domain(nlls, labels, truth)
        metrics |= routed_by_domain(np.concatenate(routes), labels, model.num_components, truth)
    return metrics


def show(model, test, seed, truth):
    """Returns the images of `observations.npz`: test images, as many of each domain, reconstructions and samples."""
    order = np.random.default_rng(seed).permutation(len(test.labels))
    domains, num_domains = truth.class_domains[test.labels[order]], len(truth.domain_names)
    ends = np.arange(num_domains + 1) * _NUM_SHOWN // num_domains
    rows = np.sort(np.concatenate([order[domains == d][: ends[d + 1] - ends[d]] for d in range(num_domains)]))
    rows = rows[np.argsort(test.labels[rows], kind="stable")]
    inputs = np.asarray(model.binarised(test.images[rows], seed))
    shown = {
        "test_images": test.images[rows],
        "reconstructions": model.reconstruct(inputs, seed=seed),
        "generated": model.generate(_NUM_SHOWN, seed),
    }
    # A Gaussian model sees the images as they are.
    return {**shown, "test_inputs": inputs} if model.likelihood == "bernoulli" else shown


def write_results(directory, model, metrics, paper):
    """Writes `results.json`: metrics beside the paper's, what is in memory, how many components."""
    long_term = getattr(model.memory, "long_term", None)
    stored = 0 if long_term is None else len(long_term)
    directory.write_results(
        metrics,
        paper=paper,
        memory_samples=stored,
        memory_bytes=0 if long_term is None else long_term.num_bytes,
        num_components=model.num_components,
    )


def _status(model):
    status = {"N": model.num_components}
    for short, name in (("STM", "short_term"), ("LTM", "long_term")):
        buffer = getattr(model.memory, name, None)
        if buffer is not None:
            status[short] = len(buffer)
    return status
