"""Checks attention over patches, the sparse-attention mask and the gates of transfer."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from ocm_tf.networks import HeadGates, PatchAttention, cut_patches, gate_weights, head_mask

RNG = np.random.default_rng(0)


def make_attention(**changes):
    keras.utils.set_random_seed(1)
    layer = PatchAttention(**{"num_heads": 4, "patch_size": 2, "embed_dim": 6, "head_dim": 3, **changes})
    layer.build((None, 4, 8, 2))
    return layer


def make_images(num_images=5):
    return RNG.random((num_images, 4, 8, 2)).astype(np.float32)


def test_patches_are_the_squares_of_the_image_row_by_row():
    image = np.arange(4 * 6).reshape(1, 4, 6, 1)
    patches = np.asarray(cut_patches(image, 2))
    assert patches.shape == (1, 6, 4)
    assert patches[0, 0].tolist() == [0, 1, 6, 7]
    assert patches[0, 1].tolist() == [2, 3, 8, 9]
    assert patches[0, 5].tolist() == [16, 17, 22, 23]


def test_heads_are_those_of_the_formula():
    layer, images = make_attention(), make_images(2)
    kernel, bias, scale, offset = (np.asarray(weight, np.float64) for weight in layer.embedding)
    tokens = np.asarray(cut_patches(images, 2)) @ kernel + bias
    tokens = (tokens - tokens.mean(-1, keepdims=True)) / np.sqrt(tokens.var(-1, keepdims=True) + 1e-3)
    tokens = tokens * scale + offset
    tokens = np.where(tokens > 0, tokens, 0.2 * tokens)
    heads = np.asarray(layer(images))
    assert heads.shape == (2, 4, 8 * 3) == layer.compute_output_shape(images.shape)
    for head in range(4):
        weights, biases = (np.asarray(weight, np.float64) for weight in layer.projections[head // 2])
        query, key, value = (tokens @ weights[:, i, head % 2] + biases[i, head % 2] for i in range(3))
        attended = softmax(query @ key.swapaxes(1, 2) / np.sqrt(3), axis=-1) @ value
        np.testing.assert_allclose(heads[:, head], attended.reshape(2, -1), rtol=1e-4, atol=1e-5)


def test_an_image_is_judged_by_itself():
    layer, images = make_attention(), make_images(7)
    together = np.asarray(layer(images))
    order = RNG.permutation(7)
    np.testing.assert_allclose(np.asarray(layer(images[order])), together[order], rtol=1e-4, atol=1e-6)
    for row in range(7):
        np.testing.assert_allclose(np.asarray(layer(images[row : row + 1]))[0], together[row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_layers_in_a_stack_give_what_each_gives_alone(num_layers):
    images, layers = make_images(3), []
    for seed in range(num_layers):
        layers.append(make_attention())
        layers[-1].set_weights([RNG.normal(size=weight.shape) + seed for weight in layers[-1].weights])
    shapes = [weight.shape for weight in make_attention().weights]
    stacks = [
        np.array([np.asarray(layer.weights[i]) for layer in layers], np.float32).reshape(num_layers, *shape)
        for i, shape in enumerate(shapes)
    ]
    heads = np.asarray(make_attention().attend(images, [keras.ops.convert_to_tensor(stack) for stack in stacks]))
    assert heads.shape == (num_layers, 3, 4, 24)
    for layer, expected in zip(layers, heads, strict=True):
        np.testing.assert_allclose(np.asarray(layer(images)), expected, rtol=1e-4, atol=1e-4)


def test_each_query_key_and_value_starts_as_a_dense_layer_of_its_own():
    layer = make_attention(embed_dim=50, head_dim=30)
    kernel = np.asarray(layer.projections[0][0])
    limit = np.sqrt(6 / 80)
    assert 0.95 * limit < np.abs(kernel).max() <= limit


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 3}, "num_heads must be even and at least 2, got 3"),
        ({"num_heads": 0}, "num_heads must be even and at least 2, got 0"),
        ({"head_dim": 0}, "head_dim must be at least 1, got 0"),
        ({"patch_size": 3}, "Images of 4x8 pixels have no whole patches of side 3"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_attention(**changes)


def test_the_two_masks_of_a_trunk_complement_each_other():
    for num_heads in (2, 6, 12):
        first, second = (np.asarray(head_mask(half, num_heads)) for half in (0, 1))
        assert first.sum() == second.sum() == num_heads / 2
        np.testing.assert_array_equal(first + second, np.ones(num_heads))
        assert first[: num_heads // 2].all()


# Gates ----------------------------------------------------------------------------------------------------------------


def test_gates_are_the_softmax_of_the_logits_in_use():
    logits = np.log(np.array([1.0, 3.0, 100.0], np.float32))
    np.testing.assert_allclose(gate_weights(logits, 2), [0.25, 0.75, 0], rtol=1e-5)
    # A temperature of one half squares the odds.
    np.testing.assert_allclose(gate_weights(logits, 2, 0.5), [0.1, 0.9, 0], rtol=1e-5)
    np.testing.assert_allclose(gate_weights(logits, 2, 1.0, np.log([3.0, 1.0, 9.0]).astype(np.float32)), [0.5, 0.5, 0])


@given(
    logits=st.lists(st.floats(-50, 50), min_size=1, max_size=9), in_use=st.integers(0, 9), temperature=st.floats(0.1, 3)
)
def test_gates_are_shares_of_the_heads_in_use(logits, in_use, temperature):
    in_use = min(in_use, len(logits))
    weights = np.asarray(gate_weights(np.array(logits, np.float32), in_use, temperature))
    assert weights.min() >= 0
    assert not weights[in_use:].any()
    np.testing.assert_allclose(weights.sum(), float(in_use > 0), rtol=1e-5)


def test_gates_start_as_normal_draws_and_keep_their_settings():
    keras.utils.set_random_seed(0)
    gates = HeadGates(2000, 0.7)
    gates.build(None)
    assert abs(float(np.std(gates.logits)) - 1) < 0.1
    copy = HeadGates.from_config(gates.get_config())
    assert (copy.num_heads, copy.temperature) == (2000, 0.7)
    np.testing.assert_array_equal(gates(num_in_use=40), gate_weights(gates.logits, 40, 0.7))
    with pytest.raises(ValueError, match="num_heads and temperature must be positive, got 4 and 0"):
        HeadGates(4, 0)
