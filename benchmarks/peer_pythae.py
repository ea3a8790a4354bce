"""A peer: pythae's VAE and IWAE with the networks of `vae.py`, batches of 64, one step after the other."""

import numpy as np
import torch
from inputs import binary, load_images
from measuring import Part
from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

LATENT_DIM, HIDDEN, PIXELS, BATCH = 50, 200, 784, 64


class Encoder(BaseEncoder):
    """Two hidden layers, mean and log-variance."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh())
        self.mean, self.log_variance = nn.Linear(HIDDEN, LATENT_DIM), nn.Linear(HIDDEN, LATENT_DIM)

    def forward(self, images):
        hidden = self.hidden(images.reshape(len(images), -1))
        return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))


class Decoder(BaseDecoder):
    """Two hidden layers and the probabilities of all pixels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENT_DIM, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, PIXELS), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, latents):
        return ModelOutput(reconstruction=self.layers(latents))


def train_step(kind, config, num_steps):
    """Makes steps on minibatches drawn anew from grey values; a unit is one step."""
    torch.manual_seed(0)
    settings = {"input_dim": (PIXELS,), "latent_dim": LATENT_DIM, "reconstruction_loss": "bce"}
    model = kind(config(**settings), encoder=Encoder(), decoder=Decoder())
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, betas=(0.5, 0.999), eps=1e-8)
    images = load_images(BATCH * num_steps)[0].reshape(-1, PIXELS).astype(np.float32) / 255.0
    rng = np.random.default_rng(0)

    def run():
        for start in range(0, len(images), BATCH):
            optimizer.zero_grad()
            model({"data": torch.from_numpy(binary(images[start : start + BATCH], rng))}).loss.backward()
            optimizer.step()

    return [Part(run, 1.0 / num_steps)]


def _iwae_config(**settings):
    return IWAEConfig(**settings, number_samples=50)


KERNELS = {
    "iwae_50": lambda quick: train_step(IWAE, _iwae_config, 1 if quick else 9),
    "vae_1": lambda quick: train_step(VAE, VAEConfig, 1 if quick else 90),
}
