"""Learning a stream in a run directory, with checkpoints and progress."""

from ocm_tf.callbacks.checkpoint import Checkpoint
from ocm_tf.callbacks.divergence_guard import DivergenceGuard
from ocm_tf.callbacks.progress import Progress


def fit_stream(model, make_batches, total, callbacks, directory, arguments, status):
    """Trains a model on a stream, or goes on with it, saving a checkpoint every so often.

    Args:
        model: built and compiled `OnlineModel`.
        make_batches: called with the number of batches to leave out; returns the data set of the others.
        total: number of batches of the whole stream.
        callbacks: list of callbacks; those with `get_state` and `set_state` are part of each checkpoint.
        directory: the open `RunDirectory`.
        arguments: `Arguments` of the run.
        status: called without arguments for the numbers beside the progress bar.
    """
    checkpoint = Checkpoint(
        directory.checkpoint_path, stateful=[*callbacks, directory], every_seconds=arguments.checkpoint_seconds
    )
    start = checkpoint.restore(model) if directory.resumed else 0
    if start < total:
        progress = Progress(total, start=start, quiet=arguments.quiet, status=status)
        with checkpoint:
            watchers = [DivergenceGuard(), *callbacks, progress, checkpoint]
            model.fit(make_batches(start), epochs=1, shuffle=False, verbose=0, callbacks=watchers)
    # `fit` does so too, but a run stopped behind its last batch does not come back to it.
    model.optimizer.finalize_variable_values(model.optimized_variables)
