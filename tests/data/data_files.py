"""Small real files of every kind that the tests of `ocm_tf.data` read."""

import gzip
import io
import zipfile

import numpy as np
from PIL import Image

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array):
    """Makes the content of an IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


def grey_images(num_images, size=28, seed=0):
    """Draws grey images and balanced labels of ten classes."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (num_images, size, size), dtype=np.uint8)
    return images, np.arange(num_images) % 10


def idx_contents(num_train=20, num_test=10):
    """Makes the contents of the four files of a tiny MNIST, by name."""
    train, test = grey_images(num_train, seed=1), grey_images(num_test, seed=2)
    return dict(zip(IDX_NAMES, map(idx_bytes, (*train, *test)), strict=True))


def write_idx_folder(folder, contents, compress=False):
    """Writes IDX files into a new folder."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / (name + ".gz" if compress else name)).write_bytes(gzip.compress(content) if compress else content)
    return folder


def image_bytes(array, kind="PNG", **options):
    """Encodes an image."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def write_folder(folder, contents):
    """Writes files, named by their relative paths, below a folder."""
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_zip(path, contents):
    """Writes files, named by their relative paths, into a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def tree_contents(class_names, num_train=2, num_test=1, shape=(32, 32, 3), kind="PNG", top=""):
    """Makes the files of an image tree; the first pixel of each image is ten times the number of its class."""
    contents = {}
    for number, class_name in enumerate(class_names):
        for split, num_images in (("train", num_train), ("test", num_test)):
            for i in range(num_images):
                image = np.full(shape, i, np.uint8)
                image[0, 0] = 10 * number
                name = f"{top}{split}/{class_name}/{i:04d}.{'png' if kind == 'PNG' else 'jpg'}"
                contents[name] = image_bytes(image, kind)
    return contents
