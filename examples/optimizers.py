"""The optimisers on one problem: the loss against epochs, and against seconds.

A small tanh net on handwritten digits, smooth and without chance (no dropout), every rule from the same weights, each at the
best of a row of learning rates. First-order rules take batches, second-order ones all rows at once. Expect momentum and
Nesterov to be ahead of plain SGD; the adaptive rules (Adagrad, RMSprop, Adam, AdamW) to keep up with them, by jumps where
the best rate at the end is a large one, and AdamW's weight decay to hold its training loss up; L-BFGS to need few iterations,
each of which costs one or two passes over the data; and Newton, which goes to the nearest saddle from a random start and so is
given five epochs of Adam first, to pay for each iteration with a matrix of n² numbers: see the right panel.
"""

import time

import numpy as np
from _common import COLORS, panels, run, save, table

import fastnn as fnn

RATES = {"descent": (0.03, 0.1, 0.3, 1.0), "adaptive": (3e-3, 0.01, 0.03, 0.1)}
RULES = {
    "SGD": ("descent", lambda rate: fnn.SGD(lr=rate)),
    "momentum": ("descent", lambda rate: fnn.SGD(lr=rate, momentum=0.9)),
    "Nesterov": ("descent", lambda rate: fnn.SGD(lr=rate, momentum=0.9, nesterov=True)),
    "Adagrad": ("adaptive", lambda rate: fnn.Adagrad(lr=rate)),
    "RMSprop": ("adaptive", lambda rate: fnn.RMSprop(lr=rate)),
    "Adam": ("adaptive", lambda rate: fnn.Adam(lr=rate)),
    "AdamW": ("adaptive", lambda rate: fnn.AdamW(lr=rate, weight_decay=0.01)),
}
SECOND_ORDER = {
    "L-BFGS": (0, lambda model, x, y, n: fnn.minimize(model, LOSS, x, y, max_iterations=n)),
    "Newton": (5, lambda model, x, y, n: fnn.newton(model, LOSS, x, y, damping=0.03, max_iterations=n // 4)),
}
LOSS = fnn.CrossEntropyLoss()


class Clock(fnn.Callback):
    """The training loss and the seconds after each epoch; the time of measuring it does not count."""

    def __init__(self, x, y):
        self.losses, self.seconds = [], [0.0]
        self._data = x, y

    def on_fit_begin(self, trainer, epochs, steps):
        self.losses.append(trainer.evaluate(*self._data)["loss"])

    def on_epoch_begin(self, trainer, epoch):
        self._started = time.perf_counter()

    def on_epoch_end(self, trainer, epoch, logs):
        self.seconds.append(self.seconds[-1] + time.perf_counter() - self._started)
        self.losses.append(trainer.evaluate(*self._data)["loss"])


def net(hidden, dtype=np.float32):
    """The same weights for every rule."""
    return fnn.Sequential(fnn.Linear(64, hidden), fnn.Tanh(), fnn.Linear(hidden, 10), seed=0, dtype=dtype, input_scale=1 / 16)


def descend(optimizer, hidden, x, y, epochs):
    """Train by a first-order rule. Returns epochs, seconds and losses."""
    clock = Clock(x, y)
    trainer = fnn.Trainer(net(hidden), LOSS, optimizer)
    trainer.fit(x, y, epochs, 64, callbacks=[clock], progress=False)
    return np.arange(epochs + 1), np.array(clock.seconds), np.array(clock.losses)


def solve(head_start, method, hidden, x, y, iterations):
    """Train by a second-order method, after some epochs of Adam. Returns iterations, seconds and losses from there."""

    def start():
        model = net(hidden, np.float64)
        if head_start:
            fnn.Trainer(model, LOSS, fnn.Adam(lr=0.01)).fit(x, y, head_start, 64, progress=False)
        return model

    method(start(), x, y, 4)  # compiles, where that has not been done; not to be timed
    found = method(start(), x, y, iterations)
    return head_start + np.arange(found.iterations + 1), found.seconds, found.losses


def main(short=False, out="out"):
    """Run every rule. Returns epochs, seconds and losses by rule."""
    hidden, epochs = (8, 15) if short else (16, 60)
    (x, y), _ = fnn.datasets.split(*fnn.datasets.load_digits(), seed=0)
    curves, chosen = {}, {}
    for name, (kind, make) in RULES.items():
        descend(make(0.01), hidden, x, y, 1)  # compiles, where that has not been done; not to be timed
        runs = {rate: descend(make(rate), hidden, x, y, epochs) for rate in RATES[kind]}
        rate = min(runs, key=lambda rate: runs[rate][2][-1])
        curves[name], chosen[name] = runs[rate], f"{rate:g}"
    for name, (head_start, method) in SECOND_ORDER.items():
        curves[name], chosen[name] = solve(head_start, method, hidden, x, y, epochs), "-"
    lines = []
    for name, (steps, seconds, losses) in curves.items():
        reached = np.flatnonzero(losses < 0.1)
        first = (f"{steps[reached[0]]}", f"{1e3 * seconds[reached[0]]:.1f}") if len(reached) else ("-", "-")
        lines.append((name, chosen[name], f"{losses[-1]:.2g}", *first, f"{1e3 * seconds[-1]:.1f}"))
    print(f"{net(hidden).parameter_count:,} parameters, {len(x):,} digits")
    table(("rule", "learning rate", "loss at the end", "epochs to 0.1", "ms to 0.1", "ms in all"), lines)
    draw(curves, out)
    return curves


def draw(curves, out):
    """The losses against epochs and against seconds."""
    figure, axes = panels(1, 2, 5.6, 4.2, sharey=True)
    for color, (name, (steps, seconds, losses)) in zip(COLORS, curves.items(), strict=False):
        style = "--" if name in SECOND_ORDER else "-"
        axes[0, 0].plot(steps, losses, style, color=color, label=name)
        axes[0, 1].plot(1e3 * seconds[1:], losses[1:], style, color=color)
    axes[0, 0].set(xlabel="epochs, or iterations", ylabel="training loss", yscale="log")
    axes[0, 1].set(xlabel="milliseconds", xscale="log")
    axes[0, 1].xaxis.set_minor_formatter("")  # their labels would overlap
    figure.legend(loc="outside right center", frameon=False)
    save(figure, out, "optimizers")


if __name__ == "__main__":
    run(main)
