"""Reading of images sorted in folders, `train/<class>/*` and `test/<class>/*`, from a folder or a zip."""

import io
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ocm_tf.data.dataset import Dataset
from ocm_tf.data.dataset_spec import DatasetSpec
from ocm_tf.data.file_source import MAX_TOTAL_BYTES, FileSource
from ocm_tf.data.split import Split
from ocm_tf.errors import UserError
from ocm_tf.free_memory import require_memory

# A side longer than this is a mistake here, or an image made to exhaust memory.
MAX_SIDE = 4096
_SUFFIXES = ("png", "jpg", "jpeg")
_OTHER_SUFFIXES = ("bmp", "gif", "tif", "tiff", "webp", "ppm", "pgm", "heic")
_FILE = re.compile(r"(?:(?P<top>[^/]+)/)??(?P<split>train|test)/(?P<class_name>[^/]+)/(?P<rest>.+)\.(?P<suffix>\w+)")
_LAYOUT = "train/<class>/*.png and test/<class>/*.png (or .jpg), itself or inside one more folder"
_MODES = {"1": 1, "L": 1, "P": 3, "RGB": 3, "RGBA": 3, "LA": 1, "CMYK": 3, "YCbCr": 3}


def read_image_tree(path: Path, name: str, class_names: Sequence[str] = (), channels: int | None = None) -> Dataset:
    """Reads a folder or zip of images sorted by split and class.

    Labels follow `class_names` where the folders bear these names (whatever the case and punctuation); else
    the folders' numbers where all are numbers; else their alphabetical order.

    Args:
        path: `pathlib.Path` of a folder or zip with `train/<class>/*.png|jpg` and `test/<class>/*.png|jpg`,
            possibly all inside one more folder.
        name: name of the data set, for the spec.
        class_names: the names of a known data set, which the folders must then bear, by name or by number.
        channels: 1 or 3, or `None` for 1 where all images are grey and 3 where any is not.

    Returns:
        dataset: the `Dataset`, images in the order of their sorted file names.

    Raises:
        UserError: if the layout is another, a file is damaged, or sizes differ.
    """
    with FileSource(path) as files:
        found = _find_images(files)
        folders = sorted({class_name for _, class_name, _ in found})
        for split in ("train", "test"):
            _check_classes(files, split, {class_name for part, class_name, _ in found if part == split}, folders)
        order, names = order_classes(folders, class_names, files.title)
        images = _decode_all(files, [file_name for _, _, file_name in found], channels)
    splits = {}
    for split in ("train", "test"):
        chosen = [i for i, (part, _, _) in enumerate(found) if part == split]
        labels = np.array([order[found[i][1]] for i in chosen], np.int64)
        splits[split] = Split(images[chosen], labels)
    is_jpeg = any(file_name.lower().endswith(("jpg", "jpeg")) for _, _, file_name in found)
    spec = DatasetSpec(
        name=name,
        image_shape=images.shape[1:],
        class_names=names,
        source=f"the user's {'JPEG' if is_jpeg else 'PNG'} files, {files.path.name}",
        licence="the user's own",
        note="read from JPEG files" if is_jpeg else "",
    )
    return Dataset(splits["train"], splits["test"], spec)


def _find_images(files):
    found, tops = [], set()
    for file_name in files.names():
        match = _FILE.fullmatch(file_name)
        if not match:
            continue
        suffix = match["suffix"].lower()
        if suffix in _OTHER_SUFFIXES:
            raise UserError(f"{files.title}:{file_name} is not a PNG or JPEG file: convert it first")
        if suffix in _SUFFIXES:
            tops.add(match["top"])
            found.append((match["split"], match["class_name"], file_name))
    if not found:
        raise UserError(f"{files.title} holds no images where they are looked for: {_LAYOUT}")
    if len(tops) > 1:
        several = ", ".join(str(top or "the top itself") for top in sorted(tops, key=str))
        raise UserError(f"{files.title} holds train and test folders in several places ({several}): keep one")
    return found


def _check_classes(files, split, found, folders):
    missing = [folder for folder in folders if folder not in found]
    if missing:
        raise UserError(
            f"{files.title} has no image in {split}/{missing[0]}: every class needs some in train and in test "
            f"({_LAYOUT})"
        )


def order_classes(
    folders: Collection[str], class_names: Sequence[str] = (), title: str = "the folder"
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Decides which label each class folder stands for.

    Args:
        folders: names of the class folders.
        class_names: names of a known data set's classes in the order of their labels, or empty.
        title: what to call the place in errors.

    Returns:
        labels: dict from folder name to label.
        names: tuple of class names in the order of the labels.

    Raises:
        UserError: if `class_names` are given and the folders are neither these nor the numbers from 0.
    """
    numbers = {folder: int(folder) for folder in folders if re.fullmatch(r"[0-9]{1,9}", folder)}
    if class_names:
        canonical = {_plain(class_name): label for label, class_name in enumerate(class_names)}
        labels = {folder: canonical.get(_plain(folder)) for folder in folders}
        if sorted(labels.values(), key=str) == sorted(range(len(class_names)), key=str):
            return labels, tuple(class_names)
        if len(numbers) == len(folders) and sorted(numbers.values()) == list(range(len(class_names))):
            return numbers, tuple(class_names)
        raise UserError(
            f"{title} must have one folder for each class, named {', '.join(class_names[:3])} ... or numbered 0 to "
            f"{len(class_names) - 1}; found {len(folders)}: {', '.join(sorted(folders)[:3])} ..."
        )
    if len(numbers) == len(folders) and len(set(numbers.values())) == len(folders):
        ordered = sorted(folders, key=numbers.get)
    else:
        ordered = sorted(folders)
    return {folder: label for label, folder in enumerate(ordered)}, tuple(ordered)


def _plain(class_name):
    return re.sub(r"[^a-z0-9]", "", class_name.lower())


def _decode_all(files, names, channels):
    first = decode_image(files.read(names[0]), f"{files.title}:{names[0]}", channels)
    height, width, found_channels = first.shape
    if len(names) * first.size > MAX_TOTAL_BYTES:
        raise UserError(f"{files.title}: {len(names)} images of {height}x{width} need too much memory to load")
    num_bytes = height * width * (channels or found_channels)
    require_memory(len(names) * num_bytes, f"loading {files.title}, {len(names):,} images x {num_bytes:,} bytes,")
    images = np.empty((len(names), height, width, channels or found_channels), np.uint8)
    for i, name in enumerate(names):
        image = decode_image(files.read(name), f"{files.title}:{name}", channels)
        if image.shape[:2] != (height, width):
            raise UserError(
                f"{files.title}: all images must have one size; {names[0]} is {height}x{width} but {name} is "
                f"{image.shape[0]}x{image.shape[1]}"
            )
        if image.shape[2] > images.shape[3]:  # a colour image after grey ones
            images = np.repeat(images, 3, axis=3)
        images[i] = image  # a grey image among coloured ones is spread over the channels
    return images


def decode_image(content: bytes, title: str, channels: int | None = None) -> np.ndarray:
    """Decodes a PNG or JPEG image.

    Args:
        content: bytes of the file.
        title: the name to call it by in errors.
        channels: 1 or 3, or `None` for those the image has.

    Returns:
        image: uint8 array of shape `(height, width, channels)`; transparency is dropped.

    Raises:
        UserError: if it is not such an image, is damaged, is very large, or has more than 8 bits a value.
    """
    from PIL import Image

    try:
        # The formats are named, so that no other decoder ever sees the bytes.
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if max(image.size) > MAX_SIDE:
                raise UserError(f"{title} is {image.height}x{image.width}, more than {MAX_SIDE} a side")
            if image.mode not in _MODES:
                raise UserError(f"{title} has pixels of kind {image.mode!r}: save it with 8 bits a channel")
            wanted = channels or _MODES[image.mode]
            array = np.asarray(image.convert("L" if wanted == 1 else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{title} is not a whole PNG or JPEG image ({error})") from error
    return array[..., None] if wanted == 1 else array
