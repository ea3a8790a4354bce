"""Training on a stream that can be stopped and resumed."""

from ocm_tf.callbacks.checkpoint import Checkpoint
from ocm_tf.callbacks.divergence_guard import DivergenceGuard
from ocm_tf.callbacks.progress import Progress


def fit_stream(model, total, batches, callbacks, directory, arguments, status):
    """Trains a model on a stream, or goes on with it, saving a checkpoint every so often.

    Args:
        model: built and compiled `OnlineModel`.
        total: number of batches of the stream.
        batches: function of the number of batches done to the data set of those left.
        callbacks: what happens after each batch, in this order; those with a state are part of the checkpoint.
        directory: the open `RunDirectory`.
        arguments: `Arguments` of the run.
        status: returns `{name: value}` to show beside the progress.
    """
    checkpoint = Checkpoint(
        directory.checkpoint_path, stateful=[*callbacks, directory], every_seconds=arguments.checkpoint_seconds
    )
    start = checkpoint.restore(model) if directory.resumed else 0
    if start < total:
        progress = Progress(total, start=start, quiet=arguments.quiet, status=status)
        with checkpoint:
            watchers = [DivergenceGuard(), *callbacks, progress, checkpoint]
            model.fit(batches(start), epochs=1, shuffle=False, verbose=0, callbacks=watchers)
    # `fit` does so too, but a run stopped behind its last batch does not come back to it.
    model.optimizer.finalize_variable_values(model.optimized_variables)
