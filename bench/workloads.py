"""The work that is compared: networks with their first weights and data, shapes of products, shapes of a group of layers."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LR, BETA1, BETA2, ADAM_EPS = 1e-3, 0.9, 0.999, 1e-8
BATCHNORM_EPS, BATCHNORM_MOMENTUM = 1e-5, 0.1


@dataclass(frozen=True)
class Workload:
    """A training step: forward, backward and Adam on one batch. Linear (+ batchnorm) + ReLU (+ dropout), ..., Linear, softmax
    cross-entropy, float32. `steps` batches make a pass, after which the data comes again.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    batchnorm: bool
    dropout: float
    steps: int

    @property
    def layers(self):
        """(inputs, outputs, whether one of the hidden) of each Linear."""
        last = len(self.sizes) - 2
        return [(n, k, i < last) for i, (n, k) in enumerate(pairwise(self.sizes))]

    @property
    def parameters(self):
        return sum(n * k + k + (2 * k if hidden and self.batchnorm else 0) for n, k, hidden in self.layers)

    @property
    def flops(self):
        """Of the products of a step: three a layer, but no gradient of the data."""
        products = [2 * self.batch * n * k for n, k, _ in self.layers]
        return 3 * sum(products) - products[0]


WORKLOADS = {
    w.name: w
    for w in (
        Workload("tiny", (20, 64, 64, 2), 32, False, 0.0, 512),
        Workload("tabular", (64, 256, 128, 10), 128, True, 0.2, 128),
        Workload("mnist", (784, 512, 256, 10), 128, True, 0.2, 64),
        Workload("deep", (64, *[128] * 10, 10), 64, True, 0.0, 128),
        Workload("wide", (1024, 2048, 2048, 1000), 256, True, 0.5, 16),
    )
}

# rows, inputs, outputs
PRODUCTS = (
    (32, 10, 64), (33, 100, 31), (64, 128, 128), (128, 64, 256), (100, 333, 77), (128, 784, 512), (128, 512, 10),
    (255, 513, 257), (256, 1024, 2048), (512, 500, 1000), (1000, 300, 300), (1024, 1024, 1024), (2048, 256, 1999),
    (4096, 512, 256),
)  # fmt: skip
PRODUCTS_FLOAT64 = ((128, 256, 128), (255, 513, 257), (1024, 512, 512))

GROUPS = ((128, 256, 0.2), (128, 512, 0.2), (256, 2048, 0.5))  # rows, columns, p of batchnorm + ReLU + dropout


def weights(workload, seed=0):
    """A dict of arrays a layer: weight (inputs, outputs), bias, and with batchnorm gamma, beta, mean, var (running).

    The same for all contenders; none is 0 or 1, which could hide a forgotten factor.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for n, k, hidden in workload.layers:
        layer = {
            "weight": rng.standard_normal((n, k), np.float32) * np.float32(np.sqrt(2.0 / n)),
            "bias": rng.standard_normal(k, np.float32) * np.float32(0.05),
        }
        if hidden and workload.batchnorm:
            layer["gamma"] = rng.uniform(0.8, 1.2, k).astype(np.float32)
            layer["beta"] = rng.standard_normal(k, np.float32) * np.float32(0.05)
            layer["mean"] = rng.standard_normal(k, np.float32) * np.float32(0.2)
            layer["var"] = rng.uniform(0.5, 2.0, k).astype(np.float32)
        layers.append(layer)
    return layers


def data(workload, steps=None, seed=1):
    """Rows for some steps: x float32; y int64, the largest of random projections of x, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    rows = workload.batch * (workload.steps if steps is None else steps)
    x = rng.standard_normal((rows, workload.sizes[0]), np.float32)
    teacher = rng.standard_normal((workload.sizes[0], workload.sizes[-1]), np.float32)
    return x, np.argmax(x @ teacher, axis=1)


def product_operands(shape, dtype, seed=2):
    """x, weight, bias and dz of a linear layer."""
    m, n, k = shape
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(size).astype(dtype) for size in ((m, n), (n, k), (k,), (m, k)))


def group_operands(shape, seed=3):
    """x, dy, gamma, beta."""
    m, n, _ = shape
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal(size, np.float32) for size in ((m, n), (m, n), n, n))


def sample(array, count=4096):
    """Some elements, the same for all contenders: enough to see that the work was the same."""
    flat = np.asarray(array).reshape(-1)
    return flat[:: max(1, flat.size // count)].copy()
