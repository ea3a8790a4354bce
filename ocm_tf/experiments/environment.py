"""What a run was made with: versions, device, threads, commit."""

import os
import platform
import subprocess
from pathlib import Path

import ocm_tf

PACKAGE = Path(ocm_tf.__file__).parent


def describe_environment():
    """Returns versions, device, thread counts, oneDNN flag and commit of this process, as a dict for JSON."""
    # Imported here, so that whoever only reads a run directory need not wait for it.
    import keras
    import numpy
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    versions = {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}
    return {
        "versions": {**versions, "numpy": numpy.__version__, "ocm_tf": ocm_tf.__version__},
        "device": [gpu.get("device_name", "GPU") for gpu in gpus] or platform.machine() + " CPU",
        "threads": {
            # 0 stands for TensorFlow's own choice, which is the number of cores.
            "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
            "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        },
        # Decides over the last digits, as the thread counts do.
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "git": describe_checkout(PACKAGE),
    }


def describe_checkout(package):
    """Returns `{"commit", "dirty"}` of the git checkout that `package` belongs to, or None.

    Args:
        package: directory of a Python package. One that is merely installed below some other checkout does
            not belong to it.
    """
    try:
        _git(package, "ls-files", "--error-unmatch", "__init__.py")
        commit = _git(package, "rev-parse", "HEAD")
        changes = _git(package.parent, "status", "--porcelain", "--", package.name, "scripts")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}


def _git(directory, *arguments):
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
