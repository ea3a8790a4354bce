"""Measures head training behind a frozen LeNet: `python benchmarks/glr.py [--rounds N] [--output FILE.json]`.

Ours computes the latents of an experience once and makes many updates in one graph. The yardstick does what is usual: a
tf.data pipeline that passes every batch of images through the backbone, joins a batch of replay and trains the head by
`keras.Model.fit`. Both take turns in one process on one thread; each round is a whole experience of five epochs, with
latents and all. Images of the experience per CPU second decide.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from measuring import describe_machine

from ocm_tf.quiet import import_tensorflow

tf = import_tensorflow(threads=1)

import keras  # noqa: E402

from ocm_tf.models import LatentReplay  # noqa: E402
from ocm_tf.networks import lenet, split_at  # noqa: E402

NUM_IMAGES, EPOCHS, BATCH_SIZE, BUFFER_SIZE = 6400, 5, 64, 1000
TARGET = 2.5


def make_experience():
    """Makes noise in the shape of MNIST; what it shows does not matter to the time."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_IMAGES, 28, 28, 1)).astype(np.uint8)
    return SimpleNamespace(train=SimpleNamespace(images=images, labels=rng.integers(0, 10, NUM_IMAGES)))


def make_ours(experience):
    """Returns a function that learns an experience with `LatentReplay` behind a frozen backbone."""
    model = LatentReplay(*split_at(lenet(seed=0), "flatten"), buffer_size=BUFFER_SIZE, pretrained=True)
    model.compile()
    model.fit_experience(experience, epochs=1)
    return lambda: model.fit_experience(experience, epochs=EPOCHS)


def make_yardstick(experience):
    """Returns a function that learns an experience by a pipeline that maps each batch through the backbone."""
    backbone, head = split_at(lenet(seed=0), "flatten")
    backbone.trainable = False
    images, labels = experience.train.images, experience.train.labels
    stored = backbone.predict(images[:BUFFER_SIZE], verbose=0), labels[:BUFFER_SIZE]
    current = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(NUM_IMAGES, 0).batch(BATCH_SIZE)
    current = current.map(lambda batch, labels: (backbone(batch, training=False), labels))
    replay = tf.data.Dataset.from_tensor_slices(stored).shuffle(BUFFER_SIZE, 0).repeat().batch(BATCH_SIZE)
    joined = tf.data.Dataset.zip(current, replay).map(
        lambda new, old: tuple(tf.concat(pair, 0) for pair in zip(new, old, strict=True))
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    head.compile(keras.optimizers.SGD(0.001, momentum=0.9), loss, jit_compile=False)
    head.fit(joined, epochs=1, verbose=0)
    return lambda: head.fit(joined, epochs=EPOCHS, verbose=0)


def speed_of(learn):
    """Returns images of the experience per CPU second and per second of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    learn()
    num_images = NUM_IMAGES * EPOCHS
    return num_images / (time.process_time() - cpu), num_images / (time.perf_counter() - wall)


def main():
    """Runs the benchmark, prints the ratio and writes the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/glr.json"))
    arguments = parser.parse_args()
    experience = make_experience()
    contenders = {"cached_latents": make_ours(experience), "per_batch_pipeline": make_yardstick(experience)}
    rounds = [{name: speed_of(learn) for name, learn in contenders.items()} for _ in range(arguments.rounds)]
    results = {"machine": describe_machine(), "rounds": arguments.rounds, "target": TARGET}
    for name in contenders:
        cpu, wall = (statistics.median(each[name][kind] for each in rounds) for kind in (0, 1))
        results[name] = {"images_per_cpu_second": round(cpu), "images_per_second": round(wall)}
    ratios = [each["cached_latents"][0] / each["per_batch_pipeline"][0] for each in rounds]
    results |= {"ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios]}
    results["met"] = results["ratio"] >= TARGET
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
