"""torch: eager with the default Adam, eager with the fused one, and compiled (then with the fused one too)."""

import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..workloads import data, group_operands, product_operands, sample, weights

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def network(workload, arrays=None):
    """The model, with given weights."""
    layers = []
    with torch.no_grad():
        for (n, k, hidden), given in zip(workload.layers, weights(workload) if arrays is None else arrays, strict=True):
            linear = nn.Linear(n, k)
            linear.weight.copy_(torch.from_numpy(given["weight"]).T)
            linear.bias.copy_(torch.from_numpy(given["bias"]))
            layers.append(linear)
            if "gamma" in given:
                norm = nn.BatchNorm1d(k)
                targets = norm.weight, norm.bias, norm.running_mean, norm.running_var
                for target, name in zip(targets, ("gamma", "beta", "mean", "var"), strict=True):
                    target.copy_(torch.from_numpy(given[name]))
                layers.append(norm)
            if hidden:
                layers.append(nn.ReLU())
                if workload.dropout:
                    layers.append(nn.Dropout(workload.dropout))
    return nn.Sequential(*layers)


class Steps:
    """form: 'default', 'fused' or 'compiled'."""

    def __init__(self, workload, form):
        self.workload = workload
        x, y = data(workload)
        self.batches = list(
            zip(torch.from_numpy(x).split(workload.batch), torch.from_numpy(y).split(workload.batch), strict=True)
        )
        model = network(workload).train()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=form != "default" or None)

        def loss(x, y):
            return F.cross_entropy(model(x), y)

        self.loss = torch.compile(loss) if form == "compiled" else loss

    def run(self, passes):
        for _ in range(passes):
            for batch in self.batches:
                self._step(batch)

    def first(self):
        started = time.perf_counter()
        self._step(self.batches[0])
        return time.perf_counter() - started

    def losses(self, steps):
        return [float(self._step(batch).detach()) for batch in self.batches[:steps]]

    def _step(self, batch):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(*batch)
        loss.backward()
        self.optimizer.step()
        return loss


class Predict:
    def __init__(self, workload, rows):
        self.model = network(workload).eval()
        self.x = torch.from_numpy(data(workload)[0][:rows])

    def run(self, n):
        with torch.inference_mode():
            for _ in range(n):
                self.model(self.x)

    def outputs(self):
        with torch.inference_mode():
            return self.model(self.x).numpy()


class Product:
    """The weight is stored as torch stores it, (outputs, inputs)."""

    def __init__(self, shape, dtype, operation):
        x, weight, bias, dz = (torch.from_numpy(array) for array in product_operands(shape, dtype))
        weight = weight.T.contiguous()
        y, dx, dweight = torch.empty_like(dz), torch.empty_like(x), torch.empty_like(weight)

        def forward():
            torch.addmm(bias, x, weight.T, out=y)
            y.relu_()

        def backward():
            torch.mm(dz.T, x, out=dweight)
            torch.mm(dz, weight, out=dx)

        self.call, self.results = (forward, (y,)) if operation == "forward" else (backward, (dx, dweight.T))

    def run(self, n):
        with torch.inference_mode():
            for _ in range(n):
                self.call()

    def outputs(self):
        self.run(1)
        return [sample(array.numpy()) for array in self.results]


class Group:
    def __init__(self, shape, p):
        x, dy, gamma, beta = (torch.from_numpy(array) for array in group_operands(shape))
        self.model = nn.Sequential(nn.BatchNorm1d(shape[1]), nn.ReLU(), nn.Dropout(p))
        with torch.no_grad():
            self.model[0].weight.copy_(gamma)
            self.model[0].bias.copy_(beta)
        self.x, self.dy = x.requires_grad_(), dy

    def run(self, n):
        for _ in range(n):
            self._both()

    def outputs(self):
        y, norm = self._both(), self.model[0]
        return [sample(array.detach().numpy()) for array in (y, self.x.grad, norm.weight.grad, norm.bias.grad)]

    def _both(self):
        self.model.zero_grad(set_to_none=True)
        self.x.grad = None
        y = self.model(self.x)
        y.backward(self.dy)
        return y


class Fashion:
    """The images are floats in memory beforehand, which is not timed."""

    def __init__(self, workload, seed, _):
        from fastnn.datasets import load_fashion_mnist

        torch.manual_seed(seed)
        (x, y), (x_test, y_test) = load_fashion_mnist()
        self.x, self.y = torch.from_numpy(x).float() / 255, torch.from_numpy(y)
        self.x_test, self.y_test = torch.from_numpy(x_test).float() / 255, torch.from_numpy(y_test)
        self.model = network(workload, weights(workload, seed))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)
        self.batch = workload.batch

    def epoch(self):
        self.model.train()
        started = time.perf_counter()
        order = torch.randperm(len(self.x))
        for rows in order[: len(order) // self.batch * self.batch].split(self.batch):
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(self.model(self.x[rows]), self.y[rows]).backward()
            self.optimizer.step()
        elapsed = time.perf_counter() - started
        self.model.eval()
        with torch.inference_mode():
            hits = [(self.model(x).argmax(1) == y) for x, y in zip(self.x_test.split(1000), self.y_test.split(1000), strict=True)]
        return elapsed, float(np.mean(torch.cat(hits).numpy()))
