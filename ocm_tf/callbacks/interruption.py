"""Ctrl-C and SIGTERM, answered at once though a training step may take minutes."""

import logging
import os
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)
logger = logging.getLogger("ocm_tf")


class Interrupted(BaseException):
    """Leaves `fit` after a signal, once the state has been saved; no error, hence no `Exception`.

    Attributes:
        signal_number: the signal received.
        position: number of batches done.
    """

    def __init__(self, signal_number: int, position: int) -> None:
        super().__init__(f"{signal.Signals(signal_number).name} at batch {position}")
        self.signal_number, self.position = signal_number, position

    @property
    def exit_status(self) -> int:
        """The status a shell expects: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal_number


class SignalWatcher:
    """Notes the first SIGINT or SIGTERM, for others to act on; a SIGINT after that ends the process at once.

    Python runs its handlers between bytecodes, so not before a running graph ends. The number of each signal
    is therefore read from the wakeup file descriptor by a thread, which runs beside the graph.

    Attributes:
        received: number of the first signal since `start`, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Takes over the signals, but for those that are ignored; outside the main thread does nothing."""
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._handlers = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._watch, name="signal watcher", daemon=True)
        self._thread.start()
        for number in self._handlers:
            # Without a Python handler nothing is written to the descriptor.
            signal.signal(number, lambda *_: None)

    def stop(self) -> None:
        """Gives the signals back to the handlers they had before."""
        if self._thread is None:
            return
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writer)
        self._thread.join()
        self._thread = None

    def _watch(self):
        with open(self._reader, "rb", buffering=0) as pipe:
            while numbers := pipe.read(1):
                if numbers[0] in SIGNALS:
                    self._note(numbers[0])

    def _note(self, number):
        if self.received is None:
            self.received = number
            name = signal.Signals(number).name
            logger.warning("%s: saving and stopping after this batch; Ctrl-C now ends the run at once", name)
        elif number == signal.SIGINT:
            os._exit(128 + number)
