import os

import pytest

from ocm_tf import quiet


def test_only_known_noise_is_dropped(capfd):
    with quiet._without_noise():
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\nI0000 00:00:1 a.cc:1] no GPU\n")
        os.write(2, b"E0000 00:00:1 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n")
        os.write(2, b"a real problem\n")
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "a real problem\nlater\n"


def test_messages_survive_a_failing_import(capfd):
    with pytest.raises(KeyError), quiet._without_noise():
        os.write(2, b"why it failed\n")
        raise KeyError
    assert capfd.readouterr().err == "why it failed\n"
