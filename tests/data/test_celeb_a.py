import numpy as np

from ocm_tf.data import is_prepared, load, storage
from ocm_tf.data.celeb_a import shrink
from ocm_tf.data.tfds_access import import_tfds, quiet_tfds


def test_crops_the_square_in_the_middle():
    images = np.zeros((1, 218, 178, 3), np.uint8)
    images[:, 20:198] = 255
    assert (shrink(images) == 255).all()
    images[:, 19] = images[:, 198] = 255
    assert shrink(255 - images).max() == 0
    assert shrink(images).shape == (1, 64, 64, 3)


def test_reads_celeb_a_as_tfds_stores_it(data_dir, monkeypatch):
    monkeypatch.setattr(storage, "_READ_BATCH", 4)  # so that there is more than one batch
    tfds = import_tfds()
    features = tfds.builder("celeb_a", data_dir=str(data_dir)).info.features

    def examples(num_images):
        for i in range(num_images):
            image = np.full((218, 178, 3), 20 * i, np.uint8)
            yield (
                f"{i:06d}.jpg",
                {
                    "image": image,
                    "landmarks": dict.fromkeys(features["landmarks"], 0),
                    "attributes": {**dict.fromkeys(features["attributes"], False), "Male": i % 2 == 0},
                    "identity": dict.fromkeys(features["identity"], 0),
                },
            )

    with quiet_tfds(tfds):
        parts = {"train": list(examples(10)), "validation": list(examples(2)), "test": list(examples(3))}
        tfds.dataset_builders.store_as_tfds_dataset("celeb_a", "2.1.0", features, parts, data_dir=data_dir)
    assert is_prepared("celeb_a")
    dataset = load("celeb_a")
    assert dataset.train.images.shape == (10, 64, 64, 3)
    assert dataset.test.images.shape == (3, 64, 64, 3)
    assert dataset.spec.class_names == ("not Male", "Male")
    brightness = np.rint(dataset.train.images.mean(axis=(1, 2, 3)) / 20).astype(int)
    assert sorted(brightness.tolist()) == list(range(10))
    np.testing.assert_array_equal(dataset.train.labels, brightness % 2 == 0)
