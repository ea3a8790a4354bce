"""Measures what a step of the exemplars costs beside one of the model: `python benchmarks/mnemonics.py [--rounds N]`.

Both run turn and turn about in one process; CPU time decides, since on a busy machine it repeats where time on the
clock does not. The network is that of reduced scale, on digits: ten exemplars a class, minibatches of 128 images.
"""

import argparse
import json

from measuring import Part, describe_machine, measure, median_cost

from ocm_tf.quiet import import_tensorflow

CLASSES, EXEMPLARS, BATCH, STEPS = 4, 10, 128, 4
INNER_STEPS = {"head": (5, 20), "all": (1, 5)}


def build_parts():
    """Returns `{name: Part}`: a step of the model, and one of the exemplars for each kind and number of inner steps."""
    import keras
    import numpy as np

    from ocm_tf.memory import Samples
    from ocm_tf.models import Mnemonics
    from ocm_tf.networks import RESIDUAL_NETWORKS, ResidualFeatures

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * STEPS, 8, 8, 1)).astype(np.uint8)
    labels = rng.integers(0, CLASSES, len(images)).astype(np.int32)
    exemplars = Samples(
        images[: CLASSES * EXEMPLARS], np.repeat(np.arange(CLASSES), EXEMPLARS), np.tile(np.arange(EXEMPLARS), CLASSES)
    )

    def make(**settings):
        inputs = keras.Input((8, 8, 1))
        backbone = keras.Model(inputs, ResidualFeatures(**RESIDUAL_NETWORKS["slim8"])(inputs))
        model = Mnemonics(backbone, CLASSES, batch_size=BATCH, outer_steps=STEPS, outer_batch_size=BATCH, **settings)
        model.compile()
        model.num_seen.assign(CLASSES)
        return model

    model = make()
    model._inputs, model._labels = images, labels
    model.make_train_function()
    parts = {"model": Part(lambda: model.train_function(iter(model._minibatches(1))), 1 / STEPS)}
    for parameters, numbers in INNER_STEPS.items():
        for number in numbers:
            level = make(inner_parameters=parameters, inner_steps=number)
            parts[f"exemplars, {parameters}, {number} inner steps"] = Part(
                lambda level=level: level.train_exemplars(exemplars, images, labels, np.random.default_rng(0)),
                1 / STEPS,
            )
    return parts


def main():
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all parts, after one that is not counted")
    rounds = parser.parse_args().rounds
    import_tensorflow(threads=1)
    parts = build_parts()
    costs = {name: [] for name in parts}
    for number in range(rounds + 1):
        for name, part in parts.items():
            cost = measure([part])
            if number:
                costs[name].append(cost)
    medians = {name: median_cost(values) for name, values in costs.items()}
    print(json.dumps(describe_machine()))
    print("| step of | CPU ms | times a step of the model |\n|---|---:|---:|")
    for name, cost in medians.items():
        print(f"| {name} | {cost.cpu:.1f} | {cost.cpu / medians['model'].cpu:.1f} |")


if __name__ == "__main__":
    main()
