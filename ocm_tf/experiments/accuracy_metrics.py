"""The numbers by which classifiers are judged after a stream."""

import numpy as np


def accuracy_metrics(correct, labels, routes, num_components, classes_per_task):
    """Computes accuracies by task and class, and which component answers for which class.

    Args:
        correct: bool array of shape `(n,)`, whether each test image was classified rightly.
        labels: int array of shape `(n,)`.
        routes: int array of shape `(n,)`, the component that answered for each image.
        num_components: number of components.
        classes_per_task: consecutive classes of a task.

    Returns:
        dict, in percent: `average_accuracy` (mean over tasks), `accuracy` (of all images), `accuracy_task_<i>` (tasks
        counted from 1), `accuracy_class_<c>`; and `routing_component_<k>_class_<c>`, the share of the class's images
        that component k answers for.
    """
    tasks = labels // classes_per_task
    by_task = {f"accuracy_task_{task + 1}": percent(correct[tasks == task]) for task in np.unique(tasks)}
    metrics = {"average_accuracy": float(np.mean(list(by_task.values()))), "accuracy": percent(correct), **by_task}
    for label in np.unique(labels):
        of_class = labels == label
        metrics[f"accuracy_class_{label}"] = percent(correct[of_class])
        for component in range(num_components):
            metrics[f"routing_component_{component}_class_{label}"] = percent(routes[of_class] == component)
    return metrics


def percent(truths):
    """Returns the share of true values, in percent."""
    return 100 * float(np.mean(truths))
