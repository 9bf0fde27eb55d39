"""fastnn: the trainer's compiled program for steps, `fastnn.functional` for products, the layers for a group of them."""

import time

import numpy as np

import fastnn as fnn
from fastnn import functional as F
from fastnn import kernels

from ..floor import out_of_cache
from ..workloads import data, group_operands, product_operands, sample, weights


def network(workload, arrays=None):
    """The model, with given weights."""
    layers = []
    for n, k, hidden in workload.layers:
        layers.append(fnn.Linear(n, k))
        if hidden:
            layers += [fnn.BatchNorm1d(k)] if workload.batchnorm else []
            layers += [fnn.ReLU()]
            layers += [fnn.Dropout(workload.dropout)] if workload.dropout else []
    model = fnn.Sequential(*layers, seed=0)
    norms = iter([layer for layer in layers if isinstance(layer, fnn.BatchNorm1d)])
    linears = [layer for layer in layers if isinstance(layer, fnn.Linear)]
    for linear, given in zip(linears, weights(workload) if arrays is None else arrays, strict=True):
        linear.weight, linear.bias = given["weight"], given["bias"]
        if "gamma" in given:
            norm = next(norms)
            norm.weight, norm.bias = given["gamma"], given["beta"]
            norm.buffers["running_mean"][...], norm.buffers["running_var"][...] = given["mean"], given["var"]
    return model


class Steps:
    """Whole calls of `Trainer.fit`: beside the steps they check the data, shuffle, gather rows, add up losses and hits."""

    def __init__(self, workload):
        self.workload = workload
        self.x, self.y = data(workload)
        self.trainer = fnn.Trainer(network(workload), loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=1e-3))

    def run(self, passes):
        self._fit(self.workload.steps, passes)

    def first(self):
        started = time.perf_counter()
        self._fit(1)
        return time.perf_counter() - started

    def losses(self, steps):
        return [self._fit(1, first=step, shuffle=False)["loss"][0] for step in range(steps)]

    def overheads(self):
        """Seconds that a call of fit costs beside its epochs, and an epoch beside its steps, medians of several."""
        steps = min(8, self.workload.steps)

        def median(epochs, steps):
            times = []
            for _ in range(7):
                started = time.perf_counter()
                self._fit(steps, epochs)
                times.append(time.perf_counter() - started)
            return float(np.median(times))

        # t(epochs, steps) = fit + epochs · (epoch + steps · step)
        one, half, more = median(1, steps), median(1, steps // 2), median(5, steps)
        per_epoch = (more - one) / 4
        epoch = per_epoch - steps * (one - half) / (steps - steps // 2)
        return {"fit": max(0.0, one - per_epoch), "epoch": max(0.0, epoch)}

    def road(self):
        return self.trainer.road

    def _fit(self, steps, epochs=1, first=0, shuffle=True):
        b = self.workload.batch
        rows = slice(first * b, (first + steps) * b)
        return self.trainer.fit(self.x[rows], self.y[rows], epochs, b, shuffle=shuffle, progress=False)


class Predict:
    """`Sequential.predict` of rows in NumPy arrays."""

    def __init__(self, workload, rows):
        self.model = network(workload)
        self.x = data(workload)[0][:rows]

    def run(self, n):
        for _ in range(n):
            self.model.predict(self.x)

    def outputs(self):
        return self.model.predict(self.x)


class Product:
    def __init__(self, shape, dtype, operation):
        x, weight, bias, dz = product_operands(shape, dtype)
        y, dx, dweight = np.empty_like(dz), np.empty_like(x), np.empty_like(weight)
        if operation == "forward":
            self.call = lambda: F.linear(x, weight, bias, "relu", out=y)
            self.results = (y,)
        else:
            self.call = lambda: F.linear_backward(dz, x, weight, bias=False, out=(dx, dweight, None))
            self.results = (dx, dweight)

    def run(self, n):
        for _ in range(n):
            self.call()

    def outputs(self):
        self.call()
        return [sample(array) for array in self.results]


class Group:
    """Batchnorm, ReLU and dropout, each way in one kernel, as compiled programs run them."""

    def __init__(self, shape, p):
        self.x, self.dy, self.gamma, beta = group_operands(shape)
        n, chunks = shape[1], kernels.row_chunks(shape[0])
        self.block = kernels.RELU, 0.0, p
        self.step = 0
        self.y, self.dx, self.stats = np.empty_like(self.x), np.empty_like(self.x), np.empty((3, n), np.float32)
        self.dgamma, self.dbeta = np.empty(n, np.float32), np.empty(n, np.float32)
        running = np.zeros(n, np.float32), np.ones(n, np.float32)
        self.forward_inputs = self.x, self.gamma, beta, 1e-5, 0.1, True, *self.block, np.uint64(0)
        self.forward_outputs = np.empty((chunks, 4, n)), *running, self.stats, self.y
        self.backward_inputs = self.dy, self.x, self.y, self.gamma, self.stats, True, *self.block
        self.partials = np.empty((chunks, 2, n))

    def run(self, n):
        for _ in range(n):
            self.step += 1
            kernels.batchnorm_forward.parallel(*self.forward_inputs, self.step, 0, *self.forward_outputs)
            kernels.batchnorm_backward.parallel(
                self.dy,
                self.x,
                self.y,
                self.gamma,
                self.stats,
                True,
                *self.block,
                self.partials,
                self.dgamma,
                self.dbeta,
                self.dx,
            )

    def outputs(self):
        self.run(1)
        return [sample(array) for array in (self.y, self.dx, self.dgamma, self.dbeta)]


class Fashion:
    """A network on Fashion-MNIST, an epoch at a time."""

    def __init__(self, workload, seed, epochs, decay=False):
        (self.x, self.y), self.test = fnn.datasets.load_fashion_mnist()
        self.workload, self.epochs, self.decay, self.done = workload, epochs, decay, 0
        model = network(workload, weights(workload, seed))
        model.input_scale = 1 / 255
        self.trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=1e-3))

    def epoch(self):
        """Train for one epoch; its seconds and the test accuracy after it. decay: the rate follows half a cosine to 0."""
        if self.decay:
            self.trainer.optimizer.lr = 1e-3 * (0.5 + 0.5 * np.cos(np.pi * self.done / self.epochs))
        started = time.perf_counter()
        self.trainer.fit(self.x, self.y, 1, self.workload.batch, drop_last=True, progress=False)
        elapsed = time.perf_counter() - started
        self.done += 1
        return elapsed, self.trainer.evaluate(*self.test)["accuracy"]


class AdamUpdate:
    """The update rule alone, on arrays far larger than the caches."""

    def __init__(self):
        self.arrays = [np.ones(out_of_cache(), np.float32) for _ in range(4)]
        self.none = np.empty(0, np.float32)

    def run(self, n):
        w, g, m, s = self.arrays
        for _ in range(n):
            kernels.adam_update.parallel(g, 10, 1e-3, 0.9, 0.999, 0.0, 1e-8, True, 0.0, 1.0, w, m, s, self.none)
