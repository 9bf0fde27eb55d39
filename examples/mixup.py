"""Mixup: a net that is trained on mixtures of images is less sure where it should be, and more often right.

Each row of a batch is mixed with another one, λ x₁ + (1 - λ) x₂, and so are their targets, with λ ~ Beta(α, α): near 0 or 1
for a small α, uniform for α = 1. So between two images the net learns to go over from one label to the other in a straight
line. Expect the training loss to stay far up, since mixtures cannot be learnt by heart, the confidence to come down, and the
test loss with it, which without mixup rises again while the net grows too sure of itself. The accuracy on Fashion-MNIST gains
some tenths of a percent, hardly more than it varies from epoch to epoch; on the short form's few digits it falls.
Source: Zhang et al., ICLR 2018.
"""

import numpy as np
from _common import BLUE, GOLD, RED, panels, run, save, table

import fastnn as fnn

ALPHAS = {0.0: RED, 0.2: GOLD, 1.0: BLUE}


def train(model, x, y, test, alpha, epochs, batch_size):
    """Train, each row mixed with another of its batch. Returns trainer, and losses and accuracies on the test rows by epoch."""
    trainer = fnn.Trainer(
        model, fnn.CrossEntropyLoss(), fnn.Adam(lr=1e-3),
        augmentation=[fnn.augment.Mixup(alpha, by_row=True)] if alpha else None,
    )  # fmt: skip
    history = trainer.fit(x, y, epochs, batch_size, validation_data=test, progress=False)
    return trainer, (history["loss"], history["val_loss"], history["val_accuracy"])


def data(short):
    """Rows to train on and to test, the factor on the inputs, the numbers of epochs and of rows a batch."""
    if not short:
        try:
            return *fnn.datasets.load_fashion_mnist(), 1 / 255, 30, 128
        except FileNotFoundError:
            print("Fashion-MNIST is not here (set FASTNN_FASHION_MNIST to its folder): digits instead")
    x, y = fnn.datasets.load_digits()  # easy, but not as noisy as this
    x = (x + np.random.default_rng(0).normal(0, 6, x.shape)).astype(np.float32)
    (x, y), test = fnn.datasets.split(x, y, fraction=0.5, seed=0)
    return (x[:300], y[:300]), test, 1 / 16, 150, 25


def main(short=False, out="out"):
    """Train with each α. Returns losses, accuracy, confidence and the bend of the line between two classes, by α."""
    (x, y), (x_test, y_test), scale, epochs, batch_size = data(short)
    results, curves, between, lines = {}, {}, {}, []
    first, second = x_test[y_test == 3][:200], x_test[y_test == 8][:200]
    count = min(len(first), len(second))
    shares = np.linspace(0, 1, 21, dtype=np.float32)
    for alpha in ALPHAS:
        model = fnn.Sequential(
            fnn.Linear(x.shape[1], 256), fnn.ReLU(), fnn.Linear(256, 128), fnn.ReLU(), fnn.Linear(128, 10),
            seed=0, input_scale=scale,
        )  # fmt: skip
        trainer, curves[alpha] = train(model, x, y, (x_test, y_test), alpha, epochs, batch_size)
        confidence = float(trainer.predict_proba(x_test).max(axis=1).mean())
        loss, test_loss, accuracy = (float(curve[-1]) for curve in curves[alpha])
        line = [trainer.predict_proba((1 - s) * first[:count] + s * second[:count])[:, 8].mean() for s in shares]
        between[alpha] = np.array(line)
        bend = float(np.abs(between[alpha] - np.interp(shares, [0, 1], [line[0], line[-1]])).max())
        results[alpha] = {"training": loss, "loss": test_loss, "accuracy": accuracy, "confidence": confidence, "bend": bend}
        lines.append((alpha, loss, test_loss, float(curves[alpha][1].min()), accuracy, confidence, bend))
    print(f"{len(x):,} rows to train on, {len(x_test):,} to test, {epochs} epochs")
    table(("α", "training loss", "test loss", "lowest test loss", "test accuracy", "mean confidence", "bend"), lines)
    draw(curves, shares, between, out)
    return results


def draw(curves, shares, between, out):
    """Test losses and accuracies, and what the nets say between two classes."""
    figure, axes = panels(1, 3, 4.6, 3.8)
    for alpha, color in ALPHAS.items():
        label = f"mixup, α = {alpha:g}" if alpha else "without"
        epochs = np.arange(1, len(curves[alpha][0]) + 1)
        axes[0, 0].plot(epochs, curves[alpha][1], color=color, label=label)
        axes[0, 1].plot(epochs, curves[alpha][2], color=color, label=label)
        axes[0, 2].plot(shares, between[alpha], color=color, label=label)
    accuracies = np.concatenate([curve[2] for curve in curves.values()])
    axes[0, 0].set(title="test loss", xlabel="epoch")
    axes[0, 1].set(title="test accuracy", xlabel="epoch", ylim=(np.quantile(accuracies, 0.04), None))
    axes[0, 2].set(title="from images of class 3 to class 8", xlabel="share of class 8", ylabel="mean probability of class 8")
    for one in axes.flat:
        one.legend(frameon=False, fontsize=9)
    save(figure, out, "mixup")


if __name__ == "__main__":
    run(main)
