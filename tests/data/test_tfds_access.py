import sys

import pytest

from ocm_tf.data.tfds_access import import_tfds, quiet_tfds
from ocm_tf.errors import UserError


def test_missing_library_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=r"TensorFlow Datasets cannot be imported .*: pip install"):
        import_tfds()


def test_tfds_is_quiet_only_for_a_while(capsys):
    from absl import logging

    before = logging.get_verbosity()
    with quiet_tfds(import_tfds()):
        print("chatter")
        assert logging.get_verbosity() == logging.ERROR
    assert logging.get_verbosity() == before
    assert capsys.readouterr().out == ""
