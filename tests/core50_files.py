"""A tiny CORe50 in its real layout: three sessions, six objects of two categories, two frames, 4x4 pixels.

The first pixel of an image is its session, object and frame.
"""

import dataclasses
import itertools

import numpy as np

from ocm_tf.data.catalogue import CATALOGUE
from ocm_tf.data.core50 import OBJECTS
from tests.data.data_files import image_bytes

SESSIONS, NUM_OBJECTS, NUM_FRAMES = (1, 2, 3), 6, 2
CHANGES = {"class_names": OBJECTS[:NUM_OBJECTS], "image_shape": (4, 4, 3), "num_train": 24, "num_test": 12}


def make_entry():
    return dataclasses.replace(CATALOGUE["core50"], **CHANGES)


def path_of(session, number, frame):
    return f"s{session}/o{number}/C_{session:02}_{number:02}_{frame:03}.png"


def image_contents(top="core50_128x128/", shape=(4, 4, 3)):
    """Makes the files of the images by name."""
    contents = {}
    for identity in itertools.product(SESSIONS, range(1, NUM_OBJECTS + 1), range(NUM_FRAMES)):
        image = np.zeros(shape, np.uint8)
        image[0, 0] = identity
        contents[top + path_of(*identity)] = image_bytes(image)
    return contents


def list_of(sessions, numbers, labels=None):
    """Writes a file list of all frames of some sessions and objects; labels are objects unless given."""
    labels = dict(zip(numbers, labels or [number - 1 for number in numbers], strict=True))
    lines = [
        f"{path_of(session, number, frame)} {labels[number]}\n"
        for session, number, frame in itertools.product(sessions, numbers, range(NUM_FRAMES))
    ]
    return "".join(lines).encode()


def list_contents(top="batches_filelists/"):
    """Makes the file lists by name: NI run 0 and 1 (one of them with a capital), NC run 0, and what is not read."""
    everything = list(range(1, NUM_OBJECTS + 1))
    return {
        f"{top}NI_inc/Run0/train_batch_00_filelist.txt": list_of([2], everything),
        f"{top}NI_inc/Run0/train_batch_01_filelist.txt": list_of([1], everything),
        f"{top}NI_inc/run1/train_batch_00_filelist.txt": list_of([1], everything).replace(b"\n", b"\r\n"),
        f"{top}NI_inc/run1/train_batch_01_filelist.txt": list_of([2], everything),
        f"{top}NI_inc/run1/test_filelist.txt": list_of([3], everything),
        f"{top}NI_cum/run0/train_batch_00_filelist.txt": list_of([1], everything),
        # Labels numbered anew in the order of appearance.
        f"{top}NC_inc/run0/train_batch_00_filelist.txt": list_of([1, 2], [6, 1], labels=[0, 1]),
        f"{top}NC_inc/run0/train_batch_01_filelist.txt": list_of([1, 2], [3, 2, 5, 4], labels=[2, 3, 4, 5]),
    }
