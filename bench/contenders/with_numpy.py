"""NumPy, written to be fast: in place, `out=` everywhere, no copies, nothing allocated in a step, Adam in pieces that stay in
cache, the sums over rows as products with BLAS, random numbers from the fastest of NumPy's generators.
"""

import time

import numpy as np

from ..workloads import (
    ADAM_EPS,
    BATCHNORM_EPS,
    BATCHNORM_MOMENTUM,
    BETA1,
    BETA2,
    LR,
    data,
    product_operands,
    sample,
    weights,
)

_PIECE = 16384  # elements of an Adam piece: its six arrays stay in the L2 cache


class Adam:
    """Adam on one flat array."""

    def __init__(self, parameters, gradients):
        self.arrays = parameters, gradients, np.zeros_like(parameters), np.zeros_like(parameters)
        self.scratch = np.empty((2, min(_PIECE, parameters.size)), parameters.dtype)
        self.t = 0

    def step(self):
        self.t += 1
        step = np.float32(LR / (1 - BETA1**self.t))
        correction = np.float32(1 / (1 - BETA2**self.t))
        for first in range(0, self.arrays[0].size, _PIECE):
            w, g, m, s = (array[first : first + _PIECE] for array in self.arrays)
            a, b = self.scratch[0, : w.size], self.scratch[1, : w.size]
            np.multiply(m, np.float32(BETA1), out=m)
            np.multiply(g, np.float32(1 - BETA1), out=a)
            np.add(m, a, out=m)
            np.multiply(s, np.float32(BETA2), out=s)
            np.multiply(g, g, out=a)
            np.multiply(a, np.float32(1 - BETA2), out=a)
            np.add(s, a, out=s)
            np.multiply(s, correction, out=a)
            np.sqrt(a, out=a)
            np.add(a, np.float32(ADAM_EPS), out=a)
            np.divide(m, a, out=b)
            np.multiply(b, step, out=b)
            np.subtract(w, b, out=w)


class BatchNorm:
    def __init__(self, m, n, gamma, beta, dgamma, dbeta, mean, var):
        self.gamma, self.beta, self.dgamma, self.dbeta = gamma, beta, dgamma, dbeta
        self.running_mean, self.running_var = mean, var
        self.xhat, self.scratch, self.rho = np.empty((m, n), np.float32), np.empty((m, n), np.float32), np.empty(n, np.float32)
        self.ones, self.m = np.ones(m, np.float32), np.float32(m)

    def forward(self, x):
        """In place of x."""
        mean = np.matmul(self.ones, x) / self.m
        np.subtract(x, mean, out=self.xhat)
        var = np.einsum("ij,ij->j", self.xhat, self.xhat) / self.m
        np.divide(1.0, np.sqrt(var + np.float32(BATCHNORM_EPS)), out=self.rho)
        np.multiply(self.xhat, self.rho, out=self.xhat)
        np.multiply(self.xhat, self.gamma, out=x)
        np.add(x, self.beta, out=x)
        keep = np.float32(1 - BATCHNORM_MOMENTUM)
        self.running_mean *= keep
        self.running_mean += np.float32(BATCHNORM_MOMENTUM) * mean
        self.running_var *= keep
        self.running_var += np.float32(BATCHNORM_MOMENTUM) * (self.m / (self.m - 1)) * var

    def backward(self, dy):
        """In place of dy."""
        np.matmul(self.ones, dy, out=self.dbeta)
        np.einsum("ij,ij->j", dy, self.xhat, out=self.dgamma)
        np.multiply(self.xhat, self.dgamma / self.m, out=self.scratch)
        np.subtract(dy, self.scratch, out=dy)
        np.subtract(dy, self.dbeta / self.m, out=dy)
        np.multiply(dy, self.gamma * self.rho, out=dy)


class Steps:
    def __init__(self, workload):
        self.workload = workload
        b = workload.batch
        self.x, self.y = data(workload)
        given = weights(workload)
        names = [(i, name) for i, layer in enumerate(given) for name in ("weight", "bias", "gamma", "beta") if name in layer]
        flat = np.concatenate([given[i][name].reshape(-1) for i, name in names])
        gradients = np.zeros_like(flat)
        self.adam = Adam(flat, gradients)
        self.layers, first = [{} for _ in given], 0
        for i, name in names:
            shape, end = given[i][name].shape, first + given[i][name].size
            self.layers[i][name] = flat[first:end].reshape(shape)
            self.layers[i]["d" + name] = gradients[first:end].reshape(shape)
            first = end
        for layer, arrays, (n, k, hidden) in zip(self.layers, given, workload.layers, strict=True):
            layer["y"], layer["dx"] = np.empty((b, k), np.float32), np.empty((b, n), np.float32)
            if hidden:
                layer["u"], layer["keep"] = np.empty((b, k), np.float32), np.empty((b, k), bool)
            if "gamma" in arrays:
                layer["norm"] = BatchNorm(
                    b, k, *(layer[name] for name in ("gamma", "beta", "dgamma", "dbeta")), arrays["mean"], arrays["var"]
                )
        self.generator = np.random.Generator(np.random.SFC64(0))
        self.rows, self.ones = np.arange(b), np.ones(b, np.float32)

    def run(self, passes):
        for _ in range(passes):
            for step in range(self.workload.steps):
                self._step(step)

    def first(self):
        started = time.perf_counter()
        self._step(0)
        return time.perf_counter() - started

    def losses(self, steps):
        return [float(self._step(step)) for step in range(steps)]

    def _step(self, step):
        b, p = self.workload.batch, self.workload.dropout
        labels = self.y[step * b : (step + 1) * b]
        kept = np.float32(1 / (1 - p))
        a = self.x[step * b : (step + 1) * b]
        for layer in self.layers:
            layer["x"], y = a, layer["y"]
            np.matmul(a, layer["weight"], out=y)
            np.add(y, layer["bias"], out=y)
            if "u" in layer:
                if "norm" in layer:
                    layer["norm"].forward(y)
                np.maximum(y, np.float32(0), out=y)
                if p:
                    self.generator.random(out=layer["u"], dtype=np.float32)
                    np.greater_equal(layer["u"], np.float32(p), out=layer["keep"])
                    np.multiply(layer["keep"], kept, out=layer["u"])
                    np.multiply(y, layer["u"], out=y)
            a = y
        np.subtract(a, a.max(axis=1, keepdims=True), out=a)
        chosen = a[self.rows, labels]
        np.exp(a, out=a)
        total = a.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - chosen)
        np.divide(a, total * np.float32(b), out=a)
        a[self.rows, labels] -= np.float32(1 / b)
        for i in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[i]
            if "u" in layer:  # what dropout set to 0 is not above 0 either
                np.greater(layer["y"], np.float32(0), out=layer["keep"])
                np.multiply(a, layer["keep"], out=a)
                if p:
                    np.multiply(a, kept, out=a)
                if "norm" in layer:
                    layer["norm"].backward(a)
            np.matmul(layer["x"].T, a, out=layer["dweight"])
            np.matmul(self.ones, a, out=layer["dbias"])
            if i:
                a = np.matmul(a, layer["weight"].T, out=layer["dx"])
        self.adam.step()
        return loss


class Predict:
    """Batch normalisation folded to a scale and a shift beforehand."""

    def __init__(self, workload, rows):
        self.x = data(workload)[0][:rows]
        self.layers = []
        for layer in weights(workload):
            weight, bias = layer["weight"], layer["bias"]
            if "gamma" in layer:
                scale = layer["gamma"] / np.sqrt(layer["var"] + np.float32(BATCHNORM_EPS))
                weight, bias = weight * scale, (bias - layer["mean"]) * scale + layer["beta"]
            self.layers.append((weight, bias, np.empty((rows, weight.shape[1]), np.float32)))

    def run(self, n):
        for _ in range(n):
            self.outputs()

    def outputs(self):
        a = self.x
        for i, (weight, bias, y) in enumerate(self.layers):
            a = np.matmul(a, weight, out=y)
            np.add(a, bias, out=a)
            if i < len(self.layers) - 1:
                np.maximum(a, np.float32(0), out=a)
        return a


class Product:
    def __init__(self, shape, dtype, operation):
        x, weight, bias, dz = product_operands(shape, dtype)
        y, dx, dweight = np.empty_like(dz), np.empty_like(x), np.empty_like(weight)

        def forward():
            np.matmul(x, weight, out=y)
            np.add(y, bias, out=y)
            np.maximum(y, y.dtype.type(0), out=y)

        def backward():
            np.matmul(x.T, dz, out=dweight)
            np.matmul(dz, weight.T, out=dx)

        self.call, self.results = (forward, (y,)) if operation == "forward" else (backward, (dx, dweight))

    def run(self, n):
        for _ in range(n):
            self.call()

    def outputs(self):
        self.call()
        return [sample(array) for array in self.results]
