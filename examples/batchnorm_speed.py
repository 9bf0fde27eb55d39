"""Batch normalisation lets a deep net learn in fewer epochs.

A net of many tanh or sigmoid layers on handwritten digits, by plain gradient descent, at several learning rates, with and
without batch normalisation after each hidden layer's product. Expect the net with it to reach 90% of the validation images in
a few epochs, and at rates at which the other does not learn at all; without it the sigmoids' gradient dies out over the layers
and the accuracy stays at chance for many epochs. The comparison is fair to both: each at the best of the learning rates.
Source: Ioffe and Szegedy, ICML 2015.
"""

import numpy as np
from _common import BLUE, GREY, RED, panels, run, save, table

import fastnn as fnn

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
GOAL = 0.9
NETS = {"tanh": fnn.Tanh, "sigmoid": fnn.Sigmoid}


def deep_net(activation, normalised, depth, width=64):
    """Hidden layers of one width; a bias right before batch normalisation would have no effect."""
    layers = []
    for k in range(depth):
        layers.append(fnn.Linear(64 if k == 0 else width, width, bias=not normalised))
        layers += [fnn.BatchNorm1d(width)] if normalised else []
        layers.append(activation())
    return fnn.Sequential(*layers, fnn.Linear(width, 10), seed=0, input_scale=1 / 16)


def epochs_to(goal, accuracy):
    """How many epochs it takes until the accuracy reaches the goal; infinity if it does not."""
    reached = np.flatnonzero(accuracy >= goal)
    return float(reached[0] + 1) if len(reached) else np.inf


def main(short=False, out="out"):
    """Train all. Returns the validation accuracies by activation, normalised or not, and learning rate."""
    depth, epochs = (6, 20) if short else (10, 40)
    rates = RATES[1:4] if short else RATES
    (x, y), validation = fnn.datasets.split(*fnn.datasets.load_digits(), seed=0)
    curves = {}
    for name, activation in NETS.items():
        for normalised in (False, True):
            for rate in rates:
                model = deep_net(activation, normalised, depth)
                trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=rate))
                history = trainer.fit(x, y, epochs, 128, validation_data=validation, progress=False)
                curves[name, normalised, rate] = history["val_accuracy"]
    lines = []
    for (name, normalised, rate), accuracy in curves.items():
        epoch = epochs_to(GOAL, accuracy)
        reached = f"{epoch:.0f}" if np.isfinite(epoch) else f"not in {epochs}"
        lines.append((name, "with" if normalised else "without", rate, reached, float(accuracy[-1])))
    print(f"{depth} hidden layers")
    table(("activation", "batch norm", "learning rate", f"epochs to {GOAL:.0%}", "accuracy at the end"), lines)
    draw(curves, rates, epochs, out)
    return curves


def draw(curves, rates, epochs, out):
    """Accuracy against epochs, the best rate of each in front."""
    figure, axes = panels(1, len(NETS), 5.4, 3.8, sharey=True)
    for one, name in zip(axes[0], NETS, strict=True):
        for normalised, color in ((True, BLUE), (False, RED)):
            own = {rate: curves[name, normalised, rate] for rate in rates}
            best = min(rates, key=lambda rate: (epochs_to(GOAL, own[rate]), -own[rate].mean()))
            label = "with batch normalisation" if normalised else "without"
            for rate in sorted(rates, key=lambda rate: rate == best):  # the best on top
                bold = {"linewidth": 2.2, "label": f"{label}, rate {rate:g}"}
                style = bold if rate == best else {"linewidth": 0.8, "alpha": 0.45}
                one.plot(range(1, epochs + 1), own[rate], color=color, **style)
        one.axhline(GOAL, color=GREY, linestyle="--", linewidth=1)
        one.set(title=f"{name}: bold at the best rate", xlabel="epoch", ylim=(0, 1.02))
        one.legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.35), fontsize=9)
    axes[0, 0].set_ylabel("validation accuracy")
    save(figure, out, "batchnorm_speed")


if __name__ == "__main__":
    run(main)
