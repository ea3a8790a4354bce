"""What every script does around its work: quiet TensorFlow, and one line for whatever the user can mend."""

import errno
import os
import shlex
import sys

from ocm_tf.callbacks.interruption import Interrupted
from ocm_tf.errors import UserError


def run_script(main):
    """Runs a script, use it as `sys.exit(run_script(main))`; a real bug keeps its traceback.

    TensorFlow must be imported inside `main`, or its log is set up before this function can quieten it.

    Args:
        main: called without arguments; returns an exit status or None.

    Returns:
        the exit status: 2 for a mistake the user can mend or a full disk, 130 after Ctrl-C, 143 after
        SIGTERM.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        status = main() or 0
        sys.stdout.flush()
        return status
    except Interrupted as interruption:
        line = f"interrupted at batch {interruption.position}; resume with: {resume_command(sys.argv)}"
        return _report(line, interruption.exit_status)
    except KeyboardInterrupt:
        return _report(f"interrupted; resume with: {resume_command(sys.argv)}", 130)
    except UserError as error:
        return _report(f"error: {error}", 2)
    except BrokenPipeError:
        # Whoever read the output is gone; Python would complain once more on closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _report(f"error: {error.strerror}" + (f": {error.filename}" if error.filename else ""), 2)


def resume_command(argv):
    """Composes the command that goes on with an interrupted run.

    Args:
        argv: command line of the run, the script first.
    """
    kept = [argument for argument in argv if argument not in ("--overwrite", "--resume")]
    return shlex.join(["python", *kept, "--resume"])


def _report(line, status):
    # On a terminal the cursor may still stand behind a progress bar.
    print("\n" * sys.stderr.isatty() + line, file=sys.stderr)
    return status
