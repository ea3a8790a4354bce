"""How well a model explains what it remembers, beside how well it explains what it is tested on."""

import numpy as np


class BoundTracker:
    """Measures the bound of the samples in memory (source) and of test images (target) every few rounds.

    The paper bounds the second by the first and by how far the memory's distribution lies from the data's  [OCM
    supplement, section on theory]. Both are importance-weighted bounds of few images and draws, each image under the
    component it is routed to; nothing the model learns depends on them.

    Args:
        test_images: uint8 or float images, of which a fixed random part is used.
        every: number of rounds from one measurement to the next.
        num_images: most images of either kind.
        num_samples: latent draws K.
        seed: seed of the choice of images, of their binarisation and of the latent draws.
    """

    def __init__(self, test_images, every, num_images=100, num_samples=20, seed=0):
        self.every, self.num_images, self.num_samples, self.seed = every, num_images, num_samples, seed
        self.test_images = self._some_of(test_images)

    def measure(self, model, num_rounds):
        """Returns `memory_bound` and `test_bound`, in nats per image, a dict; empty in rounds that are not measured.

        Args:
            model: a `VAE` with a memory.
            num_rounds: number of rounds so far, counting this one.
        """
        if num_rounds % self.every:
            return {}
        remembered = self._some_of(np.asarray(model.memory.gather().images))
        return {"memory_bound": self._bound(model, remembered), "test_bound": self._bound(model, self.test_images)}

    def _some_of(self, images):
        return images[np.random.default_rng(self.seed).permutation(len(images))[: self.num_images]]

    def _bound(self, model, images):
        inputs = np.asarray(model.binarised(images, self.seed))
        return float(model.log_likelihood(inputs, self.num_samples, seed=self.seed).mean(dtype=np.float64))
