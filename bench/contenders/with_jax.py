"""JAX: one jitted step with donated buffers, called from Python or in a lax.scan over the batches of a pass."""

import time
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from ..workloads import (
    ADAM_EPS,
    BATCHNORM_EPS,
    BATCHNORM_MOMENTUM,
    BETA1,
    BETA2,
    LR,
    data,
    weights,
)

_TRAINED = ("weight", "bias", "gamma", "beta")


def _forward(trained, running, x, p, key):
    """Logits, and the running statistics as they are then; key None is use, not training."""
    updated = []
    for i, (layer, statistics) in enumerate(zip(trained, running, strict=True)):
        x = x @ layer["weight"] + layer["bias"]
        if statistics:
            if key is None:
                mean, var = statistics["mean"], statistics["var"]
            else:
                mean, var, m = x.mean(axis=0), x.var(axis=0), x.shape[0]
                keep, add = 1 - BATCHNORM_MOMENTUM, BATCHNORM_MOMENTUM
                statistics = {
                    "mean": keep * statistics["mean"] + add * mean,
                    "var": keep * statistics["var"] + add * m / (m - 1) * var,
                }
            x = (x - mean) * (lax.rsqrt(var + BATCHNORM_EPS) * layer["gamma"]) + layer["beta"]
        updated.append(statistics)
        if i < len(trained) - 1:
            x = jax.nn.relu(x)
            if key is not None and p:
                mask = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - p, x.shape)
                x = jnp.where(mask, x / (1 - p), 0.0)
    return x, updated


def _split(workload):
    given = [{name: jnp.asarray(array) for name, array in layer.items()} for layer in weights(workload)]
    trained = [{name: array for name, array in layer.items() if name in _TRAINED} for layer in given]
    return trained, [{name: array for name, array in layer.items() if name not in _TRAINED} for layer in given]


def _make_step(p):
    def step(state, x, y):
        trained, running, first, second, t, key = state

        def loss(trained):
            logits, updated = _forward(trained, running, x, p, jax.random.fold_in(key, t))
            chosen = jnp.take_along_axis(logits, y[:, None], axis=1)[:, 0]
            return jnp.mean(jax.nn.logsumexp(logits, axis=1) - chosen), updated

        (value, running), gradients = jax.value_and_grad(loss, has_aux=True)(trained)
        t = t + 1
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda s, g: BETA2 * s + (1 - BETA2) * g * g, second, gradients)
        size, correction = LR / (1 - BETA1**t), 1 / (1 - BETA2**t)
        trained = jax.tree.map(lambda w, m, s: w - size * m / (jnp.sqrt(s * correction) + ADAM_EPS), trained, first, second)
        return (trained, running, first, second, t, key), value

    return step


class Steps:
    """form: 'loop' or 'scan'."""

    def __init__(self, workload, form):
        self.workload, self.form = workload, form
        x, y = data(workload)
        x, y = jnp.asarray(x.reshape(workload.steps, workload.batch, -1)), jnp.asarray(y.reshape(workload.steps, -1), jnp.int32)
        self.batches, self.stacked = [(x[i], y[i]) for i in range(workload.steps)], (x, y)
        trained, running = _split(workload)
        zeros = partial(jax.tree.map, jnp.zeros_like)
        self.state = trained, running, zeros(trained), zeros(trained), jnp.int32(0), jax.random.key(0)
        step = _make_step(workload.dropout)
        self.step = partial(jax.jit, donate_argnums=0)(step)
        self.scan = partial(jax.jit, donate_argnums=0)(lambda state, xs, ys: lax.scan(lambda s, b: step(s, *b), state, (xs, ys)))

    def run(self, passes):
        for _ in range(passes):
            if self.form == "scan":
                self.state, _ = self.scan(self.state, *self.stacked)
            else:
                for batch in self.batches:
                    self.state, _ = self.step(self.state, *batch)
        jax.block_until_ready(self.state)

    def first(self):
        """One step; the scan compiles a pass, and so runs one."""
        started = time.perf_counter()
        if self.form == "scan":
            self.run(1)
        else:
            self._losses(1)
        return time.perf_counter() - started

    def losses(self, steps):
        return self._losses(steps)

    def _losses(self, steps):
        if self.form == "scan":
            self.state, losses = self.scan(self.state, *(array[:steps] for array in self.stacked))
            return [float(loss) for loss in losses]
        losses = []
        for batch in self.batches[:steps]:
            self.state, loss = self.step(self.state, *batch)
            losses.append(float(loss))
        return losses


class Predict:
    def __init__(self, workload, rows):
        trained, running = _split(workload)
        self.x = jnp.asarray(data(workload)[0][:rows])
        self.call = partial(jax.jit(lambda trained, running, x: _forward(trained, running, x, 0, None)[0]), trained, running)

    def run(self, n):
        for _ in range(n):
            self.call(self.x).block_until_ready()

    def outputs(self):
        return jax.device_get(self.call(self.x))
