"""What penalties do to weights: L2 shrinks them all, L1 empties many of them, elastic net does some of both.

One net on few digits, whose 64 pixels are joined by as many of pure noise, trained without a penalty and under L2, L1 and
elastic net. Expect L2's weights to be small but none of them zero; L1 by its subgradient to push most weights close to zero,
where they jitter by a step's length without ever being exactly zero; and proximal L1, which cuts off at zero after each step
(soft threshold), to give zeros that are exact. The weights of the noise go first: see the last column.
"""

import numpy as np
from _common import BLUE, GOLD, GREEN, GREY, PURPLE, panels, run, save, table

import fastnn as fnn

NEAR = 1e-3  # what counts as close to zero
PENALTIES = {
    "none": (None, GREY),
    "L2": (fnn.L2(0.02), BLUE),
    "elastic net": (fnn.ElasticNet(2e-3, 5e-3), GREEN),
    "L1, subgradient": (fnn.L1(3e-3), GOLD),
    "L1, proximal": (fnn.L1(3e-3, proximal=True), PURPLE),
}


def data(rows):
    """Digits with 64 columns of noise, standardised alike: a part to train on and the rest to test."""
    images, labels = fnn.datasets.load_digits()
    noise = np.random.default_rng(0).uniform(0, 16, images.shape)
    x = (np.hstack([images, noise]) / 8 - 1).astype(np.float32)
    (x, y), test = fnn.datasets.split(x, labels, seed=0)
    return x[:rows], y[:rows], test


def main(short=False, out="out"):
    """Train under each penalty. Returns the first layer's weights and the test accuracy by penalty."""
    rows, epochs = (300, 150) if short else (600, 600)
    x, y, test = data(rows)
    weights, lines = {}, []
    for name, (penalty, _) in PENALTIES.items():
        model = fnn.Sequential(fnn.Linear(128, 32), fnn.ReLU(), fnn.Linear(32, 10), seed=0)
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=0.1, momentum=0.9), regularizer=penalty)
        trainer.fit(x, y, epochs, 50, progress=False)
        w = model[0].weight.copy()
        accuracy = trainer.evaluate(*test)["accuracy"]
        weights[name] = w, accuracy
        zeros, near = np.count_nonzero(w == 0), float((np.abs(w) < NEAR).mean())
        noise = float(np.square(w[64:]).sum() / np.square(w).sum())
        lines.append((name, accuracy, float(np.sqrt(np.square(w).mean())), near, int(zeros), noise))
    print(f"the first layer's {w.size:,} weights, half of which see nothing but noise")
    table(("penalty", "test accuracy", "rms", f"share below {NEAR:g}", "exact zeros", "share of ΣW² on noise"), lines)
    draw(weights, out)
    return weights


def draw(weights, out):
    """The weights' histograms, of pixels and of noise."""
    figure, axes = panels(1, len(weights), 3.5, 3.6, sharey=True, sharex=True)
    reach = max(float(np.abs(w).max()) for w, _ in weights.values()) * 0.7
    bins = np.linspace(-reach, reach, 62)
    for one, (name, (w, accuracy)) in zip(axes[0], weights.items(), strict=True):
        color = PENALTIES[name][1]
        one.hist(w.ravel(), bins, color=color, alpha=0.45, label="all")
        one.hist(w[64:].ravel(), bins, histtype="step", color="#222222", label="of the noise")
        title = f"{name}\naccuracy {accuracy:.1%}, exact zeros {np.count_nonzero(w == 0):,}"
        one.set(title=title, xlabel="weight", yscale="log", ylim=(0.8, 6000))
        one.legend(frameon=False, fontsize=9, loc="upper right")
    axes[0, 0].set_ylabel("number of weights")
    save(figure, out, "penalties")


if __name__ == "__main__":
    run(main)
