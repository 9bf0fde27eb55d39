"""Train a network on 1797 handwritten digits, and see it learn. Run by `make demo`.

Usage: python examples/digits.py [folder for the picture, `out` by default]
"""

import sys
import time
from pathlib import Path

import fastnn as fnn


def main() -> None:
    """Train, show the progress and the result, draw the curves."""
    (x, y), (x_test, y_test) = fnn.datasets.split(*fnn.datasets.load_digits(), fraction=0.2, seed=0)
    (x, y), (x_val, y_val) = fnn.datasets.split(x, y, fraction=0.15, seed=0)
    print(f"handwritten digits, 8x8 pixels: {len(x)} to train on, {len(x_val)} to validate, {len(x_test)} held out")

    model = fnn.Sequential(
        fnn.Linear(64, 256, bias=False), fnn.BatchNorm1d(256), fnn.ReLU(), fnn.Dropout(0.3),
        fnn.Linear(256, 128, bias=False), fnn.BatchNorm1d(128), fnn.ReLU(), fnn.Dropout(0.3),
        fnn.Linear(128, 10),
        seed=0,
        input_scale=1 / 16,
    )  # fmt: skip
    model.summary()
    trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(label_smoothing=0.05), optimizer=fnn.Adam(lr=3e-3))

    print("\nThe first step ever compiles the kernels, some 25 seconds; later runs load them from disk.")
    started = time.perf_counter()
    trainer.fit(x[:64], y[:64], epochs=1, batch_size=64, progress=False)
    trainer.evaluate(x_val, y_val, batch_size=64)
    print(f"First steps: {time.perf_counter() - started:.1f} s\n")

    started = time.perf_counter()
    history = trainer.fit(
        x,
        y,
        epochs=60,
        batch_size=64,
        validation_data=(x_val, y_val),
        callbacks=[fnn.EarlyStopping(monitor="val_loss", patience=15)],
        progress=True,
    )
    seconds = time.perf_counter() - started
    test = trainer.evaluate(x_test, y_test)

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
    folder.mkdir(parents=True, exist_ok=True)
    history.plot(folder / "digits.png")
    history.to_json(folder / "digits.json")
    print(f"\n{len(history)} epochs in {seconds:.2f} s on {fnn.get_num_threads()} threads")
    print(f"held-out test accuracy: {test['accuracy']:.4f}   loss: {test['loss']:.4f}")
    print(f"curves: {folder / 'digits.png'}")


if __name__ == "__main__":
    main()
