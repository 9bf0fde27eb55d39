"""What the installed wheel must do with its core dependencies alone. Run by itself: `python tests/smoke.py`."""

import importlib.util
import tempfile
from pathlib import Path

import numpy as np

import fastnn as fnn
from fastnn import kernels
from fastnn.cli import main

here = Path(fnn.__file__).resolve()
assert "site-packages" in here.parts, f"imported from {here}, not from the wheel"
assert not (here.parent.parent / "kernels").exists(), "the folder `kernels` must not be installed as a package"

(x, y), (x_test, y_test) = fnn.datasets.split(*fnn.datasets.load_digits())
model = fnn.Sequential(
    fnn.Linear(64, 64), fnn.BatchNorm1d(64), fnn.ReLU(), fnn.Dropout(0.1), fnn.Linear(64, 10), seed=0, input_scale=1 / 16
)
trainer = fnn.Trainer(model, loss=fnn.CrossEntropyLoss(), optimizer=fnn.Adam(lr=5e-3))
history = trainer.fit(x, y, epochs=15, batch_size=64)
accuracy = trainer.evaluate(x_test, y_test)["accuracy"]
assert accuracy > 0.95, accuracy

for missing, call in (
    ("matplotlib", lambda: history.plot(Path(tempfile.mkdtemp()) / "curves.png")),
    ("tqdm", fnn.ProgressBar),
):
    if importlib.util.find_spec(missing) is None:
        try:
            call()
        except ImportError as error:
            assert "pip install" in str(error), error
        else:
            raise AssertionError(f"expected an ImportError without {missing}")

folder = tempfile.mkdtemp()  # the command needs no extras
assert main(["train", "digits", "--epochs", "2", "--quiet", "--out", folder]) == 0
assert fnn.load_model(Path(folder) / "model.npz").predict(x_test).shape == (len(x_test), 10)

y_out = np.full(3, np.nan, np.float32)
kernels.activation_forward(np.array([-1, 0, 2], np.float32), kernels.RELU, 0.0, y_out)
assert y_out.tolist() == [0, 0, 2]
print(f"fastnn {fnn.__version__} from {here.parent.name}: test accuracy {accuracy:.3f}")
