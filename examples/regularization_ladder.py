"""The ladder of regularisation, rung by rung, on a data set too small for its net.

150 handwritten digits train a net of 40,000 weights; 450 others choose the epoch to stop at, and the rest test. Rungs are
added one after the other: nothing, dropout, L2 (weight decay), batch normalisation, augmentation (digits moved by up to a pixel),
early stopping. Expect the baseline to learn its 150 digits by heart, with a training loss of nothing and a validation loss
that rises again, and the test loss to fall in the end to less than half. Which rung helps depends on the data, and not each
one must: here L2, augmentation and early stopping do, while dropout and batch normalisation by themselves do not.

Below: early stopping beside the L2 that it resembles. Gradient descent with step α, stopped after τ steps from weights of
zero, keeps the weights near zero much as L2 of strength 1/(τα) does at its end (Goodfellow et al., "Deep Learning", 7.8).
Expect the two curves of a linear classifier, one against τα, the other against 1/strength, to have one shape, which L2 runs
through at two to three times larger values.
"""

from itertools import pairwise

import numpy as np
from _common import BLUE, GOLD, GREY, RED, panels, run, save, table

import fastnn as fnn

RUNGS = ("baseline", "+ dropout", "+ L2", "+ batch norm", "+ augmentation", "+ early stopping")


def augmentation(rung):
    """Digits moved by up to a pixel, anew in each batch."""
    return [fnn.augment.RandomCrop(1)] if rung >= 4 else None


def net(rung):
    """Two hidden layers, with what the rung has added."""
    layers, sizes = [], (64, 256, 96)
    for n_in, n_out in pairwise(sizes):
        layers.append(fnn.Linear(n_in, n_out))
        layers += [fnn.BatchNorm1d(n_out)] if rung >= 3 else []
        layers.append(fnn.ReLU())
        layers += [fnn.Dropout(0.3)] if rung >= 1 else []
    return fnn.Sequential(*layers, fnn.Linear(sizes[-1], 10), seed=0, input_scale=1 / 16)


def climb(train, validation, test, steps):
    """Train every rung for as many steps. Returns (history, test loss, test accuracy) by rung."""
    results, lines = {}, []
    for rung, name in enumerate(RUNGS):
        stopping = fnn.EarlyStopping(patience=10**6)  # never stops, so that the curves go on, but brings the best weights back
        trainer = fnn.Trainer(
            net(rung), fnn.CrossEntropyLoss(), fnn.Adam(lr=2e-3), regularizer=fnn.L2(1e-3) if rung >= 2 else None,
            augmentation=augmentation(rung), image_shape=(8, 8),
        )  # fmt: skip
        epochs = steps * 50 // len(train[0])
        callbacks = [stopping] if rung >= 5 else []
        history = trainer.fit(*train, epochs, 50, validation_data=validation, callbacks=callbacks, progress=False)
        measured, learnt = trainer.evaluate(*test), trainer.evaluate(*train)
        results[name] = history, measured["loss"], measured["accuracy"]
        stop = f"epoch {stopping.best_epoch + 1} of {epochs}" if rung >= 5 else f"epoch {epochs}"
        lines.append((name, stop, learnt["loss"], measured["loss"], learnt["accuracy"], measured["accuracy"]))
    table(("rung", "weights of", "training loss", "test loss", "training accuracy", "test accuracy"), lines)
    return results


def linear_classifier(train, validation, rate, steps, strength):
    """Validation losses of softmax regression by full-batch gradient descent from zero, at each of some steps, and the norms."""
    model = fnn.Sequential(fnn.Linear(64, 10, weight_init="normal"), seed=0, input_scale=1 / 16)
    model.flat_parameters[:] = 0.0
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.SGD(lr=rate), regularizer=fnn.L2(strength) if strength else None)
    losses, norms, done = [], [], 0
    for step in steps:
        trainer.fit(*train, epochs=int(step) - done, batch_size=len(train[0]), progress=False)
        done = int(step)
        losses.append(trainer.evaluate(*validation)["loss"])
        norms.append(float(np.linalg.norm(model[0].weight)))
    return np.array(losses), np.array(norms)


def compare_with_l2(train, validation, points):
    """Both curves at the same τα = 1/strength. Returns (τα, early stopping's losses and norms, L2's losses and norms)."""
    rate = 0.5
    steps = np.unique(np.geomspace(4, 4000, points).astype(int))
    scale = steps * rate
    early = linear_classifier(train, validation, rate, steps, 0.0)
    to_the_end = [linear_classifier(train, validation, rate, [6 * s + 200], 1 / t) for s, t in zip(steps, scale, strict=True)]
    penalised = tuple(np.array([end[k][0] for end in to_the_end]) for k in (0, 1))
    print("\nearly stopping beside L2, softmax regression:")
    lines = list(
        zip(scale.tolist(), early[0].tolist(), penalised[0].tolist(), early[1].tolist(), penalised[1].tolist(), strict=True)
    )
    table(("steps × rate = 1/strength", "loss, stopped", "loss, L2", "‖W‖, stopped", "‖W‖, L2"), lines)
    return scale, early, penalised


def main(short=False, out="out"):
    """Climb the ladder, compare. Returns the results by rung, and the comparison."""
    x, y = fnn.datasets.load_digits()
    (x, y), test = fnn.datasets.split(x, y, fraction=0.66, seed=0)
    train, validation = (x[:150], y[:150]), (x[150:], y[150:])
    print(f"{len(train[0])} digits to train on, {len(validation[0])} to validate, {len(test[0])} to test")
    results = climb(train, validation, test, steps=600 if short else 3000)
    comparison = compare_with_l2(train, validation, 6 if short else 16)
    draw(results, comparison, out)
    return results, comparison


def draw(results, comparison, out):
    """A panel a rung, and two for early stopping beside L2."""
    figure, axes = panels(2, 4, 3.7, 3.3)
    places = [axes[0, 0], axes[0, 1], axes[0, 2], axes[1, 0], axes[1, 1], axes[1, 2]]
    highest = max(history["val_loss"].max() for history, _, _ in results.values())
    for one, (name, (history, loss, accuracy)) in zip(places, results.items(), strict=True):
        epochs = np.arange(1, len(history) + 1)
        one.plot(epochs, history["loss"], color=BLUE, linewidth=1.2, label="training loss")
        one.plot(epochs, history["val_loss"], color=RED, linewidth=1.2, label="validation loss")
        if name == RUNGS[-1]:
            best = int(np.argmin(history["val_loss"]))
            one.axvline(best + 1, color=GREY, linestyle="--", label="epoch whose weights are taken")
        one.set(
            title=f"{name}\ntest loss {loss:.2f}, accuracy {accuracy:.1%}", xlabel="epoch", ylim=(3e-4, 2 * highest), yscale="log"
        )
    figure.legend(*axes[1, 2].get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False)
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("loss")
    scale, early, penalised = comparison
    for one, k, title in ((axes[0, 3], 0, "validation loss"), (axes[1, 3], 1, "norm of the weights")):
        one.plot(scale, early[k], "o-", color=GOLD, markersize=4, label="stopped after τ steps of α")
        one.plot(scale, penalised[k], "s--", color=BLUE, markersize=4, label="L2, to the end")
        one.set(title=f"softmax regression:\n{title}", xscale="log", xlabel="τα, or 1/strength of L2")
        one.legend(frameon=False, fontsize=9)
    save(figure, out, "regularization_ladder")


if __name__ == "__main__":
    run(main)
