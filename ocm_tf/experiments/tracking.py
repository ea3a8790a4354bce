"""Sending the numbers of a run to the tools that draw them while it runs."""

import importlib

from ocm_tf.errors import UserError

TRACKERS = {"tensorboard": "TensorBoardTracker", "wandb": "WandbTracker"}


def tracker_classes(names):
    """Finds the classes of trackers.

    Args:
        names: keys of `TRACKERS`; one named twice counts once.

    Returns:
        `{name: class}`. An object of it is made with a directory of its own and the content of `config.json`. It has
        `write(step, stage, experience, values)`, of which the first, and the first after a `close()`, begins its log
        anew.

    Raises:
        UserError: if the package of one is not installed.
    """
    classes = {}
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f'--track {name} needs a package that is missing ({error}): pip install -e ".[{name}]"'
            raise UserError(message) from None
        module = importlib.import_module(f"ocm_tf.experiments.{name}_tracker")
        classes[name] = getattr(module, TRACKERS[name])
    return classes


def group_of(stage, experience):
    """Returns the name under which a tool shows values together: `stage`, or `stage/experience_N`."""
    return stage if experience is None else f"{stage}/experience_{int(experience)}"
