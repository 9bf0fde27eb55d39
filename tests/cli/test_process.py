"""The command as a process: `python -m fastnn`, signals, exit codes, and what a warm cache spares."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import fastnn as fnn

COMMAND = [sys.executable, "-m", "fastnn"]
PATIENCE = 900  # seconds until a process that hangs fails its test


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=os.environ | environment, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_the_module_is_the_command(tmp_path):
    done = run("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fastnn {fnn.__version__}\n", "")
    done = run("train", "nothing.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastnn: nothing.csv: expected digits, fashion-mnist or a file, got no such file\n"


def test_predictions_go_through_a_pipe_that_closes(tmp_path):
    run("train", "digits", "--epochs", 1, cwd=tmp_path)
    images, labels = fnn.datasets.load_digits()
    np.savez(tmp_path / "many.npz", x=np.tile(images, (20, 1)), y=np.tile(labels, 20))
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [*COMMAND, "predict", "out/digits", "many.npz"], cwd=tmp_path, stdout=closed, stderr=subprocess.PIPE, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("sign", ["parameters of float32", "epoch 2/"], ids=["before an epoch", "after two"])
def test_a_signal_ends_training_and_leaves_everything(sign, number, code, tmp_path):
    rows = 100 if sign.startswith("epoch") else 400_000  # an epoch that has not ended when the signal comes
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(rows, 20)).astype(np.float32), y=rng.integers(0, 2, rows))
    command = [*COMMAND, "train", "data.npz", "--epochs", "1000000", "--hidden", "512,512", "--validation", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        text = ""
        for line in process.stdout:
            text += line
            if sign in line:
                process.send_signal(number)
                break
        text += process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == code, text
    assert "interrupted in epoch" in text
    assert "Traceback" not in text
    folder = tmp_path / "out" / "data"
    history = fnn.History.from_json((folder / "history.json").read_text())
    model = fnn.load_model(folder / "model.npz")
    assert (model.in_features, model.out_features) == (20, 2)
    assert np.isfinite(model.flat_parameters).all()
    names = ["history.json", "model.npz"]
    if sign.startswith("epoch"):
        assert len(history) >= 2
        names = ["curves.png", *names]
    else:
        assert len(history) == 0
    assert sorted(file.name for file in folder.iterdir()) == names


def test_info_says_what_it_runs_on(tmp_path):
    done = run("info", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["fastnn"] == fnn.__version__
    assert result["threading_layer"] in ("omp", "tbb", "workqueue")
    assert result["cache"]["files"] > 0
    assert result["extras"]["plot"]
    lines = run("info", cwd=tmp_path, NUMBA_NUM_THREADS="1").stdout.splitlines()
    assert any(re.fullmatch(r"threads +1", line) for line in lines)


@pytest.mark.long
def test_after_a_warmup_no_training_compiles_anything(tmp_path):
    settings = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "cwd": tmp_path}

    def files():
        return sorted(path.name for path in (tmp_path / "cache").iterdir())

    done = run("warmup", "--dtype", "both", "--json", **settings)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    before = files()
    assert result["compiled"] == result["files"] == len(before) > 100
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 30))
    np.savez(tmp_path / "numbers.npz", x=x, y=x[:, 0])
    np.savez(tmp_path / "bytes.npz", x=rng.integers(0, 256, (3000, 30), np.uint8), y=rng.integers(0, 3, 3000))
    for arguments in (
        ["numbers.npz", "--activation", "selu", "--optimizer", "sgd", "--l2", 0.1, "--clip-norm", 1, "--dropout", 0.1],
        ["numbers.npz", "--hidden", "700,20", "--no-batchnorm", "--activation", "tanh", "--optimizer", "rmsprop"],
        ["bytes.npz", "--hidden", "300,400", "--batch-size", 1000, "--activation", "sigmoid", "--label-smoothing", 0.1],
        ["digits", "--activation", "leaky_relu", "--threads", 1],
    ):
        done = run("train", *arguments, "--epochs", 1, **settings)
        assert done.returncode == 0, done.stderr
        assert files() == before, arguments
    assert run("predict", "out/digits", "bytes.npz", **settings).returncode == 2
    assert run("predict", "out/bytes", "bytes.npz", "--proba", **settings).returncode == 0
    script = (
        "import numpy as np, fastnn as fnn\n"
        "model = fnn.Sequential(fnn.Linear(9, 300), fnn.BatchNorm1d(300), fnn.Sigmoid(), fnn.Linear(300, 4), dtype='float64')\n"
        "trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(amsgrad=True), regularizer=fnn.L1(0.1))\n"
        "x = np.random.default_rng(0).normal(size=(500, 9))\n"
        "trainer.fit(x, np.full((500, 4), 0.25), batch_size=100)\n"
        "assert trainer.road == 'compiled program'\n"
        "trainer.predict_proba(x)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}, capture_output=True,
        text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files() == before
    again = json.loads(run("warmup", "--dtype", "both", "--json", **settings).stdout)
    assert again["compiled"] == 0
