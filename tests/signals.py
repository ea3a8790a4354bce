"""Signals that have been taken note of when the next line runs."""

import logging
import signal
import threading


def raise_and_wait(number, seconds=60.0):
    """Raises a signal and waits until it has been noted, which a thread of its own does.

    On a busy machine short epochs may else go by before that thread has its turn.
    """
    noted = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: noted.set()
    logger = logging.getLogger("ocm_tf")
    logger.addHandler(handler)
    try:
        signal.raise_signal(number)
        assert noted.wait(seconds), "nothing took note of the signal"
    finally:
        logger.removeHandler(handler)
