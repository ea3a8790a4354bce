"""Many runs one after the other, each in a run directory of its own, and where these lie."""

import dataclasses
import datetime
import gc
import importlib
import sys
import time
from pathlib import Path

from ocm_tf.errors import UserError
from ocm_tf.experiments.run_directory import RunDirectory
from ocm_tf.experiments.series_flags import refuse_varied
from ocm_tf.quiet import import_tensorflow


def changed(arguments, changes):
    """Returns the arguments with settings changed.

    Args:
        arguments: `Arguments`.
        changes: `{setting: value}`.

    Raises:
        UserError: if the settings refuse the values.
    """
    try:
        config = dataclasses.replace(arguments.config, **changes)
    except ValueError as error:
        raise UserError(str(error)) from error
    return dataclasses.replace(arguments, config=config, changes={**arguments.changes, **changes})


def with_variant(arguments, name, changes):
    """Returns the arguments of a run of a variant, in a run directory of its name unless the user named one.

    Args:
        arguments: `Arguments`; a setting named on the command line wins over the variant's.
        name: name of the variant.
        changes: `{setting: value}` that make it.

    Raises:
        UserError: if the settings do not fit together.
    """
    output = arguments.output
    if output == _default_output(arguments):
        output = output.with_name(f"{name}-{output.name}")
    changes = {setting: value for setting, value in changes.items() if setting not in arguments.named}
    return dataclasses.replace(changed(arguments, changes), output=output)


def in_comparison(arguments, kind):
    """Returns the arguments with the directory of a comparison of that kind, unless the user named one."""
    output = arguments.output
    if output == _default_output(arguments):
        output = output.with_name(f"{kind}-{arguments.preset}")
    return dataclasses.replace(arguments, output=output)


def in_studies(arguments):
    """Returns the arguments with the directory of all studies of the preset, unless the user named one."""
    output = arguments.output
    if output == _default_output(arguments):
        output = output.with_name(arguments.preset)
    return dataclasses.replace(arguments, output=output)


def varied(arguments, name, seed, changes):
    """Returns the `Arguments` of one run of a series, which resumes what is unfinished.

    Args:
        arguments: `Arguments` of the series; its `output` is the directory that holds the runs.
        name: name of the run directory.
        seed: seed of the run.
        changes: `{setting: value}` by which the run differs from the series.

    Raises:
        UserError: if the settings refuse the values.
    """
    try:
        made = changed(arguments, changes)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    return dataclasses.replace(made, seed=seed, output=arguments.output / name, resume=not arguments.overwrite)


def run_once(arguments, module):
    """Makes a single run.

    Args:
        arguments: `Arguments`.
        module: name of the module whose `run` makes it.

    Returns:
        the exit status, 0.
    """
    # TensorFlow takes seconds to import; help and mistakes in the command line should not.
    import_tensorflow(arguments.threads)
    importlib.import_module(module).run(arguments)
    return 0


def run_studies(arguments, studies, seeds, compare):
    """Makes the runs of studies, each below a directory of its own, and prints their tables.

    Args:
        arguments: `Arguments` of all.
        studies: `{name: {label: changes to the settings}}`.
        seeds: the seeds.
        compare: called with the `Arguments` of a study, the seeds and its labels; returns paths and failures.

    Returns:
        the exit status, 1 if a run failed.

    Raises:
        UserError: before any run, if the user set what a study varies.
    """
    for name, compared in studies.items():
        refuse_varied(f"study {name}", compared, arguments.named)
    status = 0
    for name, compared in studies.items():
        of_study = dataclasses.replace(arguments, output=arguments.output / name)
        status |= report(*compare(of_study, seeds, compared))
    return status


def make_compared(arguments, seeds, compared, module, say=print):
    """Makes the runs of a comparison: each label with each seed, `<label>-seed<k>` below `arguments.output`.

    Args:
        arguments: `Arguments` of the series.
        seeds: the seeds.
        compared: `{label: changes to the settings}`; they win over what the user set. What all of them set,
            the user cannot.
        module: name of the module whose `run` makes one run.
        say: called with one line of text now and then.

    Returns:
        `{name of the run: message}` of the runs that failed, see `make_runs`.

    Raises:
        UserError: if the settings refuse the changes, or if the user set what all labels set.
    """
    refuse_varied("the comparison", compared, arguments.named)
    planned = [
        varied(arguments, f"{label}-seed{seed}", seed, changes) for seed in seeds for label, changes in compared.items()
    ]
    # TensorFlow takes seconds to import; settings that do not fit together should not.
    import_tensorflow(arguments.threads)
    return make_runs(planned, importlib.import_module(module).run, say)


def make_runs(planned, run, say=print):
    """Makes many runs; skips what is finished and resumes what is not. A run that fails does not stop the others.

    Args:
        planned: list of `Arguments`, each with an `output` of its own. `overwrite` makes a finished run anew.
        run: called with the `Arguments` of one run and with `say`.
        say: called with one line of text now and then.

    Returns:
        `{name of the run directory: message}` of the runs that ended in a `UserError`.
    """
    tf = import_tensorflow()
    # Each run's model is traced once, which TensorFlow takes for one model traced again and again.
    tf.get_logger().setLevel("ERROR")
    # What is there before a series outlives it. Else every collection would look through all of it, which took longer
    # than a short run.
    gc.freeze()
    try:
        return _make_each(planned, run, say)
    finally:
        gc.unfreeze()


def _make_each(planned, run, say):
    import keras

    failures, durations = {}, []
    for index, arguments in enumerate(planned):
        name = arguments.output.name
        heading = f"[{index + 1}/{len(planned)}] {name}"
        try:
            if not arguments.overwrite and RunDirectory(arguments.output).is_finished(arguments):
                say(f"{heading}: finished before")
                continue
            say(heading + _time_left(planned[index:], durations))
            began = time.monotonic()
            try:
                run(arguments, say)
            finally:
                # Compiled functions refer back to their model; without a collection, which this makes, a series would
                # keep them all.
                keras.backend.clear_session()
            durations.append(time.monotonic() - began)
        except UserError as error:
            failures[name] = str(error)
            say(f"{heading}: failed: {error}")
    return failures


def report(paths, failures):
    """Prints the paths of a comparison's files, its table and the runs that failed; returns the exit status."""
    for path in paths:
        if path.suffix == ".md":
            print(path.read_text(encoding="utf-8"))
        print(path)
    return report_failures(failures)


def report_failures(failures):
    """Prints the runs that failed to standard error; returns the exit status of the script, 1 if there are any."""
    if failures:
        print(f"{len(failures)} run(s) failed; the same command tries them again:", file=sys.stderr)
    for name, message in failures.items():
        print(f"  {name}: {message}", file=sys.stderr)
    return 1 if failures else 0


def _time_left(planned, durations):
    """Says how long the unfinished ones among the planned runs will take, at the mean pace so far."""
    if not durations:
        return ""
    pending = [run for run in planned if run.overwrite or not (run.output / "results.json").exists()]
    seconds = len(pending) * sum(durations) / len(durations)
    return f"  ETA {datetime.timedelta(seconds=round(seconds))}"


def _default_output(arguments):
    return Path("runs") / arguments.script / f"{arguments.preset}-seed{arguments.seed}"
