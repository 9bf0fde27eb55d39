"""Label smoothing makes a network's confidence honest, and so does one number fitted afterwards.

A net that learns its few training digits by heart is right on most others, but surer of itself than it has reason to be:
where it says 99%, fewer are right. The expected calibration error (ECE) is the gap between confidence and accuracy, averaged
over bins of confidence; the reliability diagram shows it bin by bin, under the diagonal where the net is too sure. Expect
label smoothing of 0.05 to close most of the gap (on Fashion-MNIST with a gain in accuracy besides), and more of it to
overshoot, to a net that is too modest; and temperature scaling, logits / T with T fitted on validation rows, to bring every
net's error down to a few percent without changing one label, which is why it is best applied to the net without smoothing.
Sources: Guo et al., ICML 2017; Müller et al., "When does label smoothing help?", NeurIPS 2019.
"""

import numpy as np
from _common import BLUE, GREY, RED, panels, run, save, table

import fastnn as fnn
from fastnn.metrics import calibration_error, temperature_scale

BINS = 10


def softmax(logits, temperature=1.0):
    """Rows of probabilities."""
    e = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return e / e.sum(axis=1, keepdims=True)


def reliability(y_true, probabilities, bins=BINS):
    """Rows, mean confidence and accuracy in each bin of confidence."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y_true
    where = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(where, minlength=bins)
    with np.errstate(invalid="ignore"):  # empty bins have no mean
        return counts, np.bincount(where, confidence, bins) / counts, np.bincount(where, right, bins) / counts


def data(short):
    """Few rows to train on; many to fit the temperature on, and to test."""
    if short:  # digits are easy; as noisy as this they are not
        x, y = fnn.datasets.load_digits()
        x = (x + np.random.default_rng(0).normal(0, 6, x.shape)).astype(np.float32)
        (x, y), test = fnn.datasets.split(x, y, fraction=0.5, seed=0)
        return (x[:300], y[:300]), (x[300:], y[300:]), test, 1 / 16
    try:
        (x, y), test = fnn.datasets.load_fashion_mnist()
    except FileNotFoundError:
        print("Fashion-MNIST is not here (set FASTNN_FASHION_MNIST to its folder): digits instead")
        return data(True)
    return (x[:5000], y[:5000]), (x[-5000:], y[-5000:]), test, 1 / 255


def main(short=False, out="out"):
    """Train with several smoothings. Returns accuracy, ECE before and after scaling, T, by smoothing."""
    (x, y), validation, (x_test, y_test), scale = data(short)
    results, diagrams, lines = {}, {}, []
    for smoothing in (0.0, 0.05, 0.1, 0.2):
        model = fnn.Sequential(
            fnn.Linear(x.shape[1], 256), fnn.ReLU(), fnn.Linear(256, 128), fnn.ReLU(), fnn.Linear(128, 10),
            seed=0, input_scale=scale,
        )  # fmt: skip
        trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(label_smoothing=smoothing), fnn.Adam(lr=1e-3))
        trainer.fit(x, y, 100 if short else 30, 64, progress=False)
        temperature = temperature_scale(trainer.predict(validation[0]), validation[1])
        logits = trainer.predict(x_test)
        before, after = softmax(logits), softmax(logits, temperature)
        accuracy = float((logits.argmax(axis=1) == y_test).mean())
        errors = calibration_error(y_test, before), calibration_error(y_test, after)
        results[smoothing] = {"accuracy": accuracy, "ece": errors[0], "scaled": errors[1], "temperature": temperature}
        diagrams[smoothing] = reliability(y_test, before), reliability(y_test, after)
        lines.append((smoothing, accuracy, float(before.max(axis=1).mean()), errors[0], temperature, errors[1]))
    print(f"{len(x):,} rows to train on, {len(x_test):,} to test")
    table(("smoothing", "test accuracy", "mean confidence", "ECE", "temperature", "ECE, scaled"), lines)
    draw(results, diagrams, out)
    return results


def draw(results, diagrams, out):
    """A reliability diagram for each smoothing, plain and scaled, and the errors side by side."""
    figure, axes = panels(1, len(diagrams) + 1, 3.3, 3.6)
    for one, (smoothing, both) in zip(axes[0], diagrams.items(), strict=False):
        one.plot([0, 1], [0, 1], color=GREY, linewidth=1)
        for (counts, confidence, accuracy), color, label in zip(both, (RED, BLUE), ("as trained", "temperature"), strict=True):
            full = counts >= 5  # fewer rows say nothing
            one.plot(confidence[full], accuracy[full], "o-", color=color, markersize=4, label=label)
        one.set(title=f"smoothing {smoothing:g}", xlabel="confidence", xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        one.legend(frameon=False, loc="upper left", fontsize=9)
    axes[0, 0].set_ylabel("accuracy")
    last, places = axes[0, -1], np.arange(len(results))
    last.bar(places - 0.2, [r["ece"] for r in results.values()], 0.4, color=RED, label="as trained")
    last.bar(places + 0.2, [r["scaled"] for r in results.values()], 0.4, color=BLUE, label="temperature")
    last.set_xticks(places, [f"{smoothing:g}" for smoothing in results])
    last.set(title="calibration error", xlabel="smoothing")
    last.legend(frameon=False, fontsize=9)
    save(figure, out, "calibration")


if __name__ == "__main__":
    run(main)
