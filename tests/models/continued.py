"""Loads a model in a process of its own, measures it, trains it on one batch; `test_vae.py` compares.

Usage: continued.py MODEL.keras INPUTS.npz OUTPUTS.npz
"""

import sys

import numpy as np

MEASURED_WITH = {"num_samples": 7, "seed": 5}


def observe(model, inputs):
    """Returns all that must be equal before and after a file, as named arrays; trains the model on one batch."""
    values = {"bounds": model.component_bounds(inputs["binary"], **MEASURED_WITH)}
    values["features"] = model.features(inputs["binary"])
    for part in ("short_term", "long_term"):
        buffer = getattr(model.memory, part)
        for name, column in buffer.read()._asdict().items():
            values[f"{part}_{name}"] = column
    values["full"], values["num_seen"] = model.memory.short_term.is_full, model.memory.num_seen.numpy()
    # Rows of the memories that are not in use may differ.
    in_memory = {id(weight) for weight in model.memory.weights}
    for index, weight in enumerate(weight for weight in model.weights if id(weight) not in in_memory):
        values[f"weight_{index}"] = weight.numpy()
    for index, variable in enumerate(model.optimizer.variables):
        # Of names like dense_3_kernel_momentum only the end is the same in another process.
        values[f"optimizer_{index}_{variable.path.rpartition('_')[2]}"] = variable.numpy()
    # A file does not keep the state of random draws, so both sides start from the same.
    model.seed_generator.state.assign(inputs["draws"])
    values["loss"] = np.array(model.train_on_batch(inputs["batch"]))
    for index, weight in enumerate(model.trainable_weights):
        values[f"trained_{index}"] = weight.numpy()
    return values


if __name__ == "__main__":
    import ocm_tf

    model_file, inputs_file, outputs_file = sys.argv[1:]
    model = ocm_tf.load_model(model_file)
    with np.load(inputs_file) as inputs:
        np.savez(outputs_file, **observe(model, inputs))
