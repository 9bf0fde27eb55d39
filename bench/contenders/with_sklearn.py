"""scikit-learn's MLPClassifier, which has neither batchnorm nor dropout, and one output where there are two classes."""

import time

from sklearn.neural_network import MLPClassifier

from ..workloads import data, weights


class Steps:
    def __init__(self, workload):
        self.workload = workload
        self.x, self.y = data(workload)
        hidden = workload.sizes[1:-1]
        self.model = MLPClassifier(hidden, solver="adam", alpha=0.0, batch_size=workload.batch, learning_rate_init=1e-3)
        self.classes = list(range(workload.sizes[-1]))

    def run(self, passes):
        for _ in range(passes):
            self.model.partial_fit(self.x, self.y, classes=self.classes)

    def first(self):
        started = time.perf_counter()
        self.model.partial_fit(self.x[: self.workload.batch], self.y[: self.workload.batch], classes=self.classes)
        return time.perf_counter() - started

    def losses(self, steps):
        """The first alone: with one output for two classes Adam's path is another one."""
        self.first()
        layers = weights(self.workload)
        for target, bias, layer in zip(self.model.coefs_, self.model.intercepts_, layers, strict=True):
            target[...] = layer["weight"][:, 1:] - layer["weight"][:, :1] if target.shape[1] == 1 else layer["weight"]
            bias[...] = layer["bias"][1:] - layer["bias"][:1] if bias.size == 1 else layer["bias"]
        self.first()
        return [float(self.model.loss_)][:steps]
