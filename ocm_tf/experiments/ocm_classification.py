"""One OCM classification run: stream, model and memory put together from settings, trained, evaluated and saved."""

from dataclasses import replace

import keras
import numpy as np

from ocm_tf import data
from ocm_tf.errors import UserError
from ocm_tf.experiments import ocm
from ocm_tf.experiments.accuracy_metrics import accuracy_metrics
from ocm_tf.experiments.figures import draw_all
from ocm_tf.experiments.ocm_classification_config import for_dataset, for_stream, paper_values
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.strategies import strategy_scope
from ocm_tf.files import save_arrays, write_atomically
from ocm_tf.models import ClassifierMixture, OnlineClassifier
from ocm_tf.networks import MLP, ResNet
from ocm_tf.streams import imbalanced, label_groups


def run(arguments, say=print):
    """Makes one run and leaves everything in its run directory.

    Args:
        arguments: `Arguments` whose config is a `ClassificationConfig`.
        say: called with one line of text now and then.

    Returns:
        dict of the measured metrics.

    Raises:
        UserError: for whatever the user can mend: settings that do not fit together, missing data, a directory in use.
    """
    arguments, seed = replace(arguments, config=for_dataset(arguments.config)), arguments.seed
    (dataset,) = data.load_domains(arguments.config.dataset, arguments.data_dir, say)
    keras.utils.set_random_seed(seed)
    try:
        stream, test = build_stream(arguments.config, dataset, seed)
        total = ocm.num_batches(stream, arguments.config)
        config = for_stream(arguments.config, total)
        model = build_model(config, stream.image_shape, len(stream.truth.class_names), seed, arguments.strategy)
        rules = ocm.build_rules(config, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    with RunDirectory(arguments.output).open(arguments, data_source=dataset.spec.source) as directory:
        recorder = ocm.learn(model, stream, rules, directory, arguments, config, labelled=True)
        metrics = evaluate(model, test, config, seed)
        directory.metrics.append(total, "evaluate", None, metrics)
        observations = recorder.observations()
        if config.is_mixture:
            observations |= ocm.show(model, test, seed, stream.truth)
        save_arrays(directory.path / "observations.npz", observations)
        write_atomically(directory.model_path, model.save)
        ocm.write_results(directory, model, metrics, paper_values(config))
    figures = draw_all(arguments.output)
    say(f"average accuracy {metrics['average_accuracy']:.2f} %, {model.num_components} component(s); {len(figures)}")
    say(f"figures and the model are in {arguments.output}")
    return metrics


def build_stream(config, dataset, seed):
    """Returns the `Stream` of the settings and the split, of test or validation images, that goes with it."""
    (train, test), names = ocm.take_images(config, dataset), dataset.spec.class_names
    if config.stream == "imbalanced":
        sizes = config.dominant, config.num_dominant, config.num_other
        return imbalanced(train, names, config.classes_per_task, *sizes, seed), test
    return label_groups(train, names, config.classes_per_task, seed), test


def build_classifier(config, num_classes):
    """Returns the classifying network of the settings, from images to logits."""
    if config.classifier == "resnet":
        return ResNet(num_classes, config.resnet_blocks, config.resnet_width)
    return MLP((*config.classifier_units, num_classes), "relu", matmul_dtype=config.matmul_dtype)


def build_model(config, image_shape, num_classes, seed, strategy="single"):
    """Returns the built and compiled model: a `ClassifierMixture`, or an `OnlineClassifier` where no VAE is needed."""
    classifier = build_classifier(config, num_classes)
    if config.is_mixture:
        single = replace(config, max_components=1)
        arguments = ocm.mixture_arguments(config if config.dynamic else single, image_shape, seed)
        model = ClassifierMixture(classifier=classifier, **arguments)
    else:
        model = OnlineClassifier(classifier, image_shape, **ocm.online_arguments(config, image_shape, seed))
    optimizers = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    with strategy_scope(strategy):
        model.build((None, *image_shape))
        own = [ocm.build_optimizer(config)] if config.is_mixture else []
        model.compile(*own, optimizers[config.classifier_optimizer](config.classifier_learning_rate))
    return model


def evaluate(model, test, config, seed):
    """Measures the accuracy on images of all tasks, each classified by the component it is routed to.

    Args:
        model: a `ClassifierMixture` or an `OnlineClassifier`.
        test: object with `images` and `labels`.
        config: the settings.
        seed: seed of the binarisation and the latent draws of routing.

    Returns:
        dict, as of `accuracy_metrics`.
    """
    num_samples = config.routing_samples or config.eval_samples
    if config.is_mixture:
        routes = model.route(np.asarray(model.binarised(test.images, seed)), num_samples, seed=seed)
        probabilities = model.classify(test.images, routes=routes)
    else:
        routes = np.zeros(len(test.labels), np.int64)
        probabilities = model.classify(test.images)
    correct = probabilities.argmax(axis=1) == test.labels
    return accuracy_metrics(correct, test.labels, routes, model.num_components, config.classes_per_task)
