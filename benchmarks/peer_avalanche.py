"""A peer: Avalanche's strategies with the perceptron of `classifiers.py`, on tensors in memory, one epoch."""

import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.training import GenerativeReplay, Naive, Replay
from avalanche.training.plugins import EvaluationPlugin
from inputs import make_experience
from measuring import Part
from torch import nn

UNITS, BATCH_SIZE, BUFFER_SIZE = 512, 128, 1000


class _Images(torch.utils.data.TensorDataset):
    """Images and labels; Avalanche asks for `targets`."""

    def __init__(self, train):
        images = torch.from_numpy(train.images).float().permute(0, 3, 1, 2) / 255.0
        self.targets = train.labels.tolist()
        super().__init__(images, torch.from_numpy(train.labels))


def experiences(kind, num_images, **settings):
    """Learns the second and all later experiences alike; a unit is one image of the experience."""
    torch.manual_seed(0)
    train = [as_classification_dataset(_Images(make_experience(num_images, seed).train)) for seed in (0, 1)]
    first, second = dataset_benchmark(train, train).train_stream
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, UNITS), nn.ReLU(), nn.Linear(UNITS, 10))
    strategy = kind(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.001, momentum=0.9),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=BATCH_SIZE,
        train_epochs=1,
        # Without measures and loggers; None would print.
        evaluator=EvaluationPlugin(),
        **settings,
    )
    strategy.train(first)
    return [Part(lambda: strategy.train(second), 1.0 / num_images)]


KERNELS = {
    "naive": lambda quick: experiences(Naive, 128 if quick else 6400),
    "replay": lambda quick: experiences(Replay, 128 if quick else 6400, mem_size=BUFFER_SIZE),
    "generative": lambda quick: experiences(GenerativeReplay, 128 if quick else 1280),
}
