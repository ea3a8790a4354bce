import numpy as np
import pytest

from ocm_tf.data import describe_sources, domain_names, load_domains
from ocm_tf.errors import UserError


def write_npz(path, size):
    """Writes a data set of two classes with square images."""
    images, labels = np.zeros((4, size, size), np.uint8), np.arange(4) % 2
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return f"npz:{path}"


def test_names_are_joined_by_a_plus():
    assert domain_names("mnist") == ("mnist",)
    assert domain_names("mnist+fashion_mnist+omniglot") == ("mnist", "fashion_mnist", "omniglot")


def test_the_path_of_a_users_own_data_set_may_hold_a_plus(tmp_path):
    name = write_npz(tmp_path / "a+b.npz", 8)
    assert domain_names(name) == (name,)
    assert domain_names("npz:/none/a+digits") == ("npz:/none/a", "digits")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist+", "'mnist[+]' has an empty part"),
        ("+", "has an empty part"),
        ("digits+mnist+digits", "must differ; digits:inverted would be another one"),
        ("digits+npz:/a,b", "must hold no comma, quote or line break"),
    ],
)
def test_names_that_cannot_be_joined_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        domain_names(name)


def test_each_domain_is_loaded_in_turn():
    datasets = load_domains("digits+digits:transposed")
    assert [dataset.spec.name for dataset in datasets] == ["digits", "digits:transposed"]
    assert [len(dataset.train) for dataset in datasets] == [1500, 1500]
    text = describe_sources(datasets)
    assert "digits:transposed: scikit-learn" in text and "; digits:" in text and "\n" not in text
    assert text.count("1,500 training and 297 test images (") == 2


def test_an_unknown_domain_is_named():
    with pytest.raises(UserError, match="no dataset named 'fashion': did you mean 'fashion_mnist'"):
        load_domains("digits+fashion")


def test_a_domain_that_cannot_be_had_says_why(monkeypatch):
    monkeypatch.setattr("ocm_tf.data.preparation.is_reachable", lambda url, seconds: False)
    lines = []
    with pytest.raises(UserError, match="cannot prepare cifar10 from any source"):
        load_domains("digits+cifar10", report=lines.append)
    assert lines and lines[0].startswith("cifar10: not from tfds")


def test_domains_of_different_shapes_are_refused(tmp_path):
    small, large = (write_npz(tmp_path / f"{size}.npz", size) for size in (28, 32))
    with pytest.raises(UserError, match=r"must have one shape: .*28\.npz has 28x28x1, .*32\.npz has 32x32x1"):
        load_domains(f"{small}+{large}")
