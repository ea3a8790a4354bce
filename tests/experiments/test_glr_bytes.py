"""Checks the arithmetic of what each method keeps, by hand and by the published costs."""

from dataclasses import replace

import numpy as np
import pytest

from ocm_tf.experiments.glr_bytes import Sizes, generator_bytes, row_bytes, state_bytes, with_matched_buffer
from ocm_tf.experiments.glr_config import GENERATORS, GLRConfig
from ocm_tf.experiments.glr_models import build_generator

CLASSES = np.full(10, 6000)
ALEXNET = Sizes(image_bytes=784, latent_dim=2304, num_weights=3_716_810, class_counts=[CLASSES] * 5)
LENET = replace(ALEXNET, latent_dim=400, num_weights=61_706)


def bytes_of(method, sizes, num_experiences=5, **changes):
    return state_bytes(GLRConfig(method=method, **changes), sizes.after(num_experiences))


def test_the_costs_of_the_paper():
    # Published without labels, which take 8 bytes a sample or component here.
    assert bytes_of("generative_latent_replay", ALEXNET) == 921_800 + 5 * 10 * 8
    assert bytes_of("generative_latent_replay", LENET) == 160_200 + 5 * 10 * 8
    assert bytes_of("latent_replay", ALEXNET) == 55_296_000 + 6000 * 8
    assert bytes_of("latent_replay", ALEXNET, latent_dtype="float16") == 27_648_000 + 6000 * 8
    assert bytes_of("replay", ALEXNET, buffer_size=200) == 156_800 + 200 * 8
    assert bytes_of("ewc", ALEXNET, num_experiences=1) == 29_734_480
    assert bytes_of("ewc", ALEXNET) == 5 * 29_734_480
    assert bytes_of("ewc", ALEXNET, online=True) == 29_734_480
    assert bytes_of("joint", LENET, num_experiences=2) == 2 * 60_000 * (784 + 4)
    assert bytes_of("naive", LENET) == bytes_of("replay", LENET, num_experiences=0) == 0


def test_a_static_buffer_and_small_experiences_count_what_is_there():
    few = replace(LENET, class_counts=[np.array([3, 1]), np.array([2])])
    released = bytes_of("generative_latent_replay", few, 2, sampling="static", generator="component_labelled")
    assert released == 3 * (801 * 4 + 8) + 4 * (1600 + 8)
    # Four components for the class of three samples would be one too many.
    assert bytes_of("generative_latent_replay", few, 1, num_components=4) == (3 + 1) * (801 * 4 + 8)
    # Of quotas 3 and 2 the second experience has as many.
    assert bytes_of("replay", few, 2, buffer_size=5) == (3 + 2) * (784 + 8)
    assert bytes_of("replay", few, 2, buffer_size=50) == (4 + 2) * (784 + 8)


# The autoencoder trains for a while.
@pytest.mark.parametrize(
    "generator", [pytest.param(name, marks=pytest.mark.slow if name == "vae" else ()) for name in GENERATORS]
)
def test_the_formula_is_what_a_generator_takes(generator):
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 7, 8], (20, 9, 1))
    latents = rng.standard_normal((30, 5), np.float32)
    config = GLRConfig(generator=generator, num_components=2)
    fitted = build_generator(config).fit(latents, labels, 0)
    assert fitted.num_bytes == generator_bytes(config, np.array([20, 9, 1]), 5)


def test_a_matched_buffer_takes_no_more_bytes_than_the_other_method():
    for method in ("replay", "latent_replay"):
        config = GLRConfig(method=method, match_bytes="generative_latent_replay")
        matched = with_matched_buffer(config, LENET)
        aim = bytes_of("generative_latent_replay", LENET)
        assert aim - row_bytes(matched, LENET) < state_bytes(matched, LENET) <= aim
    # 1,176 raw images and 100 latents of AlexNet take as much as five generators, but for the labels.
    config = GLRConfig(method="replay", match_bytes="generative_latent_replay")
    assert with_matched_buffer(config, ALEXNET).buffer_size == (921_800 + 400) // 792
    with pytest.raises(ValueError, match="match_bytes is for the methods replay and latent_replay, got ewc"):
        with_matched_buffer(GLRConfig(method="ewc", match_bytes="latent_replay"), LENET)
    assert with_matched_buffer(GLRConfig(), LENET) == GLRConfig()
