"""Checks that signals are noticed while the interpreter is busy elsewhere, and are given back afterwards."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocm_tf.callbacks.interruption import Interrupted, SignalWatcher

# Hashing holds the main thread outside the interpreter for about as long as a long training step does.
BUSY = """
import hashlib, sys
from ocm_tf.callbacks.interruption import SignalWatcher
watcher = SignalWatcher()
watcher.start()
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"a", b"b", 30_000_000)
print(watcher.received, "tensorflow" in sys.modules, flush=True)
"""


def start_busy():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_second_ctrl_c_ends_the_process_at_once():
    process = start_busy()
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("SIGINT: saving and stopping after this batch")
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (130, "", "")
    assert time.monotonic() - began < 2


def test_a_second_sigterm_changes_nothing():
    watcher = SignalWatcher()
    watcher.start()
    for number in (signal.SIGTERM, signal.SIGTERM):
        os.kill(os.getpid(), number)
    watcher.stop()
    assert watcher.received == signal.SIGTERM


def test_gives_signals_back_and_leaves_ignored_ones_alone():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        watcher = SignalWatcher()
        watcher.start()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGINT)
        watcher.stop()
        assert watcher.received is None
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_interrupted_is_no_exception_and_knows_its_status():
    interruption = Interrupted(signal.SIGTERM, 7)
    assert not isinstance(interruption, Exception)
    assert (str(interruption), interruption.exit_status) == ("SIGTERM at batch 7", 143)
