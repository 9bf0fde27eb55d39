"""What bad input gets from models, trainers, layers, losses and optimisers: an error that names the argument, and no change."""

import re

import numpy as np
import pytest
from library.helpers import CLASSES, FEATURES, blobs, small_model, small_trainer, state_of

import fastnn as fnn

X, Y = blobs()
NAN, INF = np.nan, np.inf


@pytest.fixture
def trainer():
    """Trained for an epoch, so that everything is off its start: moments, running statistics, dropout's step."""
    trainer = small_trainer()
    trainer.fit(X, Y, batch_size=16)
    return trainer


def with_value(array, value, row=3):
    array = array.copy()
    array.reshape(len(array), -1)[row, 0] = value
    return array


# Each argument that a trainer's methods share, with the bad values and what they get.
BAD_X = {
    "one dimension": (X[0], ValueError),
    "three dimensions": (X[None], ValueError),
    "a number": (3.0, ValueError),
    "one feature too few": (X[:, 1:], ValueError),
    "one feature too many": (np.hstack([X, X[:, :1]]), ValueError),
    "no rows": (X[:0], ValueError),
    "no features": (X[:, :0], ValueError),
    "an empty list": ([], ValueError),
    "rows of unequal length": ([[1.0] * FEATURES, [1.0] * (FEATURES - 1)], ValueError),
    "objects": (X.astype(object), TypeError),
    "strings": (X.astype(str), TypeError),
    "complex numbers": (X.astype(complex), TypeError),
    "dates": (np.zeros(X.shape, "datetime64[s]"), TypeError),
    "None": (None, (TypeError, ValueError)),
}
NOT_FINITE_X = {
    "NaN": (with_value(X, NAN), ValueError),
    "infinity": (with_value(X, INF), ValueError),
    "minus infinity in the last row": (with_value(X, -INF, -1), ValueError),
    "NaN in float64": (with_value(X.astype(np.float64), NAN), ValueError),
    "NaN in float16": (with_value(X.astype(np.float16), NAN), ValueError),
    "NaN in a list": (with_value(X, NAN).tolist(), ValueError),
    "NaN in a Fortran array": (np.asfortranarray(with_value(X, NAN)), ValueError),
}
ONE_HOT = np.eye(CLASSES)[Y]
BAD_Y = {
    "a row too few": (Y[1:], ValueError),
    "a row too many": (np.append(Y, 0), ValueError),
    "a number": (1, ValueError),
    "None": (None, (TypeError, ValueError)),
    "no rows": (Y[:0], ValueError),
    "a label that is too large": (with_value(Y, CLASSES), ValueError),
    "a negative label": (with_value(Y, -1), ValueError),
    "a label of 64 bits": (with_value(Y.astype(np.uint64), 2**64 - 1), ValueError),
    "labels as floats": (Y.astype(np.float32), TypeError),
    "labels as strings": (Y.astype(str), TypeError),
    "labels as objects": (Y.astype(object), TypeError),
    "labels as booleans": (Y == 0, TypeError),
    "labels in a column": (Y[:, None], ValueError),
    "probabilities of too few classes": (ONE_HOT[:, 1:], ValueError),
    "probabilities that do not sum to 1": (ONE_HOT * 2, ValueError),
    "negative probabilities": (ONE_HOT * 3 - 1.0 / CLASSES * 2, ValueError),
    "NaN probabilities": (with_value(ONE_HOT, NAN), ValueError),
    "three dimensions": (ONE_HOT[None].repeat(len(Y), axis=0), (TypeError, ValueError)),
}
BAD_SIZES = {"zero": (0, ValueError), "negative": (-2, ValueError), "fraction": (1.5, TypeError), "text": ("32", TypeError)}
BAD_SWITCHES = {"text": ("yes", TypeError), "number": (1, TypeError), "None": (None, TypeError)}
BAD_PAIRS = {
    "an array": (X, TypeError),
    "inputs alone": ((X,), TypeError),
    "four of them": ((X, Y, Y, Y), TypeError),
    "a dictionary": ({"x": X, "y": Y}, TypeError),
}

BAD_WEIGHTS = {
    "a row too few": (np.ones(len(X) - 1), ValueError),
    "a column": (np.ones((len(X), 1)), ValueError),
    "a number": (1.0, ValueError),
    "a negative one": (with_value(np.ones(len(X)), -1.0), ValueError),
    "NaN": (with_value(np.ones(len(X)), NAN), ValueError),
    "infinity": (with_value(np.ones(len(X)), INF), ValueError),
    "beyond float32": (with_value(np.ones(len(X)), 1e300), ValueError),
    "zeros": (np.zeros(len(X)), ValueError),
    "text": (np.full(len(X), "1"), TypeError),
    "objects": (np.ones(len(X), object), TypeError),
}

# method: {argument: (how to call it, bad values)}; the name in the error is the argument's, except where given
CALLS = [
    ("fit", "x", lambda t, v: t.fit(v, Y), BAD_X | NOT_FINITE_X),
    ("fit", "y", lambda t, v: t.fit(X, v), BAD_Y),
    ("fit", "validation x", lambda t, v: t.fit(X, Y, validation_data=(v, Y)), BAD_X | NOT_FINITE_X),
    ("fit", "validation y", lambda t, v: t.fit(X, Y, validation_data=(X, v)), BAD_Y),
    ("fit", "validation_data", lambda t, v: t.fit(X, Y, validation_data=v), BAD_PAIRS),
    ("fit", "sample_weight", lambda t, v: t.fit(X, Y, sample_weight=v), BAD_WEIGHTS),
    ("fit", "validation sample_weight", lambda t, v: t.fit(X, Y, validation_data=(X, Y, v)), BAD_WEIGHTS),
    ("evaluate", "sample_weight", lambda t, v: t.evaluate(X, Y, sample_weight=v), BAD_WEIGHTS),
    ("fit", "epochs", lambda t, v: t.fit(X, Y, epochs=v), BAD_SIZES | {"a switch": (True, TypeError), "None": (None, TypeError)}),
    ("fit", "batch_size", lambda t, v: t.fit(X, Y, batch_size=v), BAD_SIZES | {"one row": (1, ValueError)}),
    ("fit", "shuffle", lambda t, v: t.fit(X, Y, shuffle=v), BAD_SWITCHES),
    ("fit", "drop_last", lambda t, v: t.fit(X, Y, drop_last=v), BAD_SWITCHES),
    ("fit", "check_finite", lambda t, v: t.fit(X, Y, check_finite=v), BAD_SWITCHES),
    ("fit", "progress", lambda t, v: t.fit(X, Y, progress=v), {"text": ("yes", TypeError), "number": (1, TypeError)}),
    (
        "fit",
        "callbacks",
        lambda t, v: t.fit(X, Y, callbacks=v),
        {"one": (fnn.EarlyStopping(), TypeError), "None": (None, TypeError)},
    ),
    ("fit", "callbacks[1]", lambda t, v: t.fit(X, Y, callbacks=[fnn.Callback(), v]), {"a function": (print, TypeError)}),
    ("fit", "x", lambda t, v: t.fit(v, Y[:1]), {"one row": (X[:1], ValueError)}),
    ("evaluate", "x", lambda t, v: t.evaluate(v, Y), BAD_X | NOT_FINITE_X),
    ("evaluate", "y", lambda t, v: t.evaluate(X, v), BAD_Y),
    ("evaluate", "batch_size", lambda t, v: t.evaluate(X, Y, v), BAD_SIZES),
    ("predict", "x", lambda t, v: t.predict(v), BAD_X),
    ("predict", "batch_size", lambda t, v: t.predict(X, v), BAD_SIZES),
    ("predict_proba", "x", lambda t, v: t.predict_proba(v), BAD_X),
    ("predict_labels", "x", lambda t, v: t.predict_labels(v), BAD_X),
    ("model.predict", "x", lambda t, v: t.model.predict(v), BAD_X),
    ("model.predict", "batch_size", lambda t, v: t.model.predict(X, v), BAD_SIZES),
    ("model.forward", "x", lambda t, v: t.model.forward(v), BAD_X | {"one row": (X[:1], ValueError)}),
    ("model", "x", lambda t, v: t.model(v), BAD_X | {"one row": (X[:1], ValueError)}),
    (
        "model.backward",
        "dy",
        lambda t, v: t.model.backward(v),
        {
            "a row too few": (np.ones((len(X) % 16 - 1, CLASSES)), ValueError),  # the last batch was that long
            "a column too many": (np.ones((len(X) % 16, CLASSES + 1)), ValueError),
            "one dimension": (np.ones(CLASSES), ValueError),
            "objects": (np.ones((len(X) % 16, CLASSES), object), TypeError),
        },
    ),
    (
        "model.load_state_dict",
        "state",
        lambda t, v: t.model.load_state_dict(v),
        {"nothing in it": ({}, ValueError), "None": (None, TypeError)},
    ),
    (
        "model.astype",
        "dtype",
        lambda t, v: t.model.astype(v),
        {"half": (np.float16, TypeError), "integer": (int, TypeError), "text": ("no", TypeError)},
    ),
    ("optimizer.step", "gradient_scale", lambda t, v: t.optimizer.step(v), {"NaN": (NAN, ValueError), "text": ("1", TypeError)}),
    (
        "optimizer.bind",
        "gradients",
        lambda t, v: t.optimizer.bind([np.ones(3)], v),
        {"none": ([], ValueError), "too many": ([np.ones(3)] * 2, ValueError)},
    ),
    (
        "optimizer.bind",
        "gradients[0]",
        lambda t, v: t.optimizer.bind([np.ones(3)], [v]),
        {"shape": (np.ones(4), ValueError), "dtype": (np.ones(3, np.float32), ValueError), "list": ([1.0] * 3, TypeError)},
    ),
    (
        "optimizer.bind",
        "parameters[0]",
        lambda t, v: t.optimizer.bind([v], [np.ones(3)]),
        {
            "integers": (np.ones(3, int), TypeError),
            "strided": (np.ones(6)[::2], ValueError),
            "read-only": (np.broadcast_to(np.ones(3), (3,)), ValueError),
        },
    ),
    (
        "optimizer.bind",
        "model",
        lambda t, v: t.optimizer.bind(v),
        {"a list": ([np.ones(3)], TypeError), "None": (None, TypeError)},
    ),
    (
        "clip_grad_norm_",
        "max_norm",
        lambda t, v: fnn.clip_grad_norm_(t.model, v),
        {"zero": (0.0, ValueError), "NaN": (NAN, ValueError)},
    ),
]
TABLE = [
    pytest.param(call, value, error, argument, id=f"{method}, {argument}, {description}")
    for method, argument, call, values in CALLS
    for description, (value, error) in values.items()
]


def named(argument):
    """A pattern: the message begins with the argument's name."""
    return rf"^{re.escape(argument)}(: |, )"


@pytest.mark.parametrize(("call", "value", "error", "argument"), TABLE)
def test_a_refused_call_names_the_argument_and_leaves_everything_untouched(trainer, call, value, error, argument):
    trainer.model.forward(X)  # so that backward has something to refuse
    before = state_of(trainer)
    with pytest.raises(error, match=named(argument)):
        call(trainer, value)
    assert state_of(trainer) == before


REGRESSION_Y = {
    "two columns": (np.ones((len(X), 2)), ValueError),
    "a row too few": (np.ones(len(X) - 1), ValueError),
    "NaN": (with_value(X[:, 0], NAN), ValueError),
    "infinity in a column": (with_value(X[:, :1], INF), ValueError),
    "objects": (np.ones(len(X), object), TypeError),
    "strings": (["a"] * len(X), TypeError),
    "three dimensions": (np.ones((len(X), 1, 1)), ValueError),
}


@pytest.mark.parametrize(("y", "error"), REGRESSION_Y.values(), ids=REGRESSION_Y.keys())
def test_bad_regression_targets_are_refused(y, error):
    trainer = fnn.Trainer(fnn.Sequential(fnn.Linear(FEATURES, 1), fnn.Dropout(0.1), seed=0), fnn.MSELoss(), fnn.Adam())
    before = state_of(trainer)
    for use in (trainer.fit, trainer.evaluate):
        with pytest.raises(error, match=r"^y: expected"):
            use(X, y)
    assert state_of(trainer) == before


# models whose first layer does not know its number of features, or draws before a later one refuses

LATE = {
    "dropout first": lambda: fnn.Sequential(fnn.Dropout(0.2), fnn.Linear(FEATURES, CLASSES), seed=0),
    "an activation first": lambda: fnn.Sequential(fnn.Tanh(), fnn.Linear(FEATURES, CLASSES), seed=0),
    "nested": lambda: fnn.Sequential(
        fnn.Sequential(fnn.Dropout(0.1)), fnn.BatchNorm1d(FEATURES), fnn.Linear(FEATURES, CLASSES), seed=0
    ),
}


@pytest.mark.parametrize("make", LATE.values(), ids=LATE.keys())
@pytest.mark.parametrize("use", ["fit", "evaluate", "forward", "predict"])
def test_the_wrong_number_of_features_is_refused_before_any_layer_runs(make, use):
    trainer = small_trainer(make())
    before = state_of(trainer)
    wrong = np.ones((len(X), FEATURES + 1))
    with pytest.raises(ValueError, match=r"^x: "):
        getattr(trainer, use)(wrong, Y) if use in ("fit", "evaluate") else getattr(trainer.model, use)(wrong)
    assert state_of(trainer) == before


def test_the_features_of_a_model_are_those_of_the_first_layer_that_knows():
    for make in LATE.values():
        assert make().in_features == FEATURES


def test_one_row_is_refused_before_dropout_has_drawn():
    model = fnn.Sequential(fnn.Linear(FEATURES, 4), fnn.Dropout(0.2), fnn.BatchNorm1d(4), fnn.Linear(4, CLASSES), seed=0)
    trainer = small_trainer(model)
    before = state_of(trainer)
    with pytest.raises(ValueError, match=r"^x: expected at least 2 rows"):
        model.forward(X[:1])
    assert state_of(trainer) == before


# backward before forward

BACKWARD = {
    "Sequential": (small_model, (2, CLASSES)),
    "Linear": (lambda: fnn.Linear(2, 3), (2, 3)),
    "BatchNorm1d": (lambda: fnn.BatchNorm1d(3), (2, 3)),
    "Dropout": (lambda: fnn.Dropout(0.5), (2, 3)),
    "ReLU": (fnn.ReLU, (2, 3)),
    "SELU": (fnn.SELU, (2, 3)),
    "ELU": (fnn.ELU, (2, 3)),
    "GELU": (fnn.GELU, (2, 3)),
    "Softmax": (fnn.Softmax, (2, 3)),
    "Flatten": (fnn.Flatten, (2, 3)),
}


@pytest.mark.parametrize(("make", "shape"), BACKWARD.values(), ids=BACKWARD.keys())
def test_backward_before_forward_is_refused(make, shape):
    layer = make()
    gradients = [array.copy() for inner in layer.walk() for array in inner.gradients.values()]
    with pytest.raises(ValueError, match=r"^backward: expected a forward of .* before it, got none"):
        layer.backward(np.ones(shape))
    for inner, before in zip((a for i in layer.walk() for a in i.gradients.values()), gradients, strict=True):
        assert np.array_equal(inner, before)


@pytest.mark.parametrize(
    "loss",
    [
        fnn.CrossEntropyLoss(), fnn.NLLLoss(), fnn.MSELoss(), fnn.L1Loss(), fnn.HuberLoss(), fnn.PoissonNLLLoss(),
        fnn.BCEWithLogitsLoss(),
    ],
    ids=repr,
)  # fmt: skip
def test_backward_of_a_loss_before_forward_is_refused(loss):
    with pytest.raises(ValueError, match=r"^backward: expected a forward of .*Loss"):
        loss.backward()


def test_stepping_before_binding_is_refused():
    with pytest.raises(ValueError, match=r"^step: expected bind\(model\) before it, got an unbound Adam"):
        fnn.Adam().step()


@pytest.mark.parametrize("lr", [-1.0, NAN, INF])
def test_a_setting_that_was_made_impossible_is_refused_before_training(trainer, lr):
    before = state_of(trainer)
    trainer.optimizer.lr = lr
    with pytest.raises(ValueError, match=r"^lr: expected"):
        trainer.fit(X, Y)
    assert state_of(trainer) == before


# layers, losses and optimisers by themselves

LAYER_CALLS = {
    "Linear, features": (lambda: fnn.Linear(3, 2)(np.ones((4, 5))), ValueError, "x"),
    "Linear, one dimension": (lambda: fnn.Linear(3, 2)(np.ones(3)), ValueError, "x"),
    "Linear, objects": (lambda: fnn.Linear(3, 2)(np.ones((4, 3), object)), TypeError, "x"),
    "BatchNorm1d, features": (lambda: fnn.BatchNorm1d(3)(np.ones((4, 5))), ValueError, "x"),
    "BatchNorm1d, one row": (lambda: fnn.BatchNorm1d(3)(np.ones((1, 3))), ValueError, "x"),
    "BatchNorm1d, no rows": (lambda: fnn.BatchNorm1d(3)(np.ones((0, 3))), ValueError, "x"),
    "Dropout, one dimension": (lambda: fnn.Dropout()(np.ones(3)), ValueError, "x"),
    "ReLU, strings": (lambda: fnn.ReLU()([["a"]]), TypeError, "x"),
    "Tanh, three dimensions": (lambda: fnn.Tanh()(np.ones((1, 2, 3))), ValueError, "x"),
    "Linear, in_features": (lambda: fnn.Linear(0, 2), ValueError, "in_features"),
    "Linear, a size of floats": (lambda: fnn.Linear(3.0, 2), TypeError, "in_features"),
    "Linear, out_features": (lambda: fnn.Linear(3, -2), ValueError, "out_features"),
    "Linear, bias": (lambda: fnn.Linear(3, 2, bias=1), TypeError, "bias"),
    "Linear, dtype": (lambda: fnn.Linear(3, 2, dtype=np.float16), TypeError, "dtype"),
    "Linear, seed": (lambda: fnn.Linear(3, 2, seed=-1), ValueError, "seed"),
    "Linear, an unknown weight_init": (lambda: fnn.Linear(3, 2, weight_init="good"), ValueError, "weight_init"),
    "Linear, an unknown bias_init": (lambda: fnn.Linear(3, 2, bias_init="good"), ValueError, "bias_init"),
    "Linear, a number as weight_init": (lambda: fnn.Linear(3, 2, weight_init=0.1), TypeError, "weight_init"),
    "Linear, a number as bias_init": (lambda: fnn.Linear(3, 2, bias_init=0.1), TypeError, "bias_init"),
    "BatchNorm1d, num_features": (lambda: fnn.BatchNorm1d(0), ValueError, "num_features"),
    "BatchNorm1d, eps": (lambda: fnn.BatchNorm1d(3, eps=-1e-5), ValueError, "eps"),
    "BatchNorm1d, momentum": (lambda: fnn.BatchNorm1d(3, momentum=1.5), ValueError, "momentum"),
    "BatchNorm1d, a momentum of words": (lambda: fnn.BatchNorm1d(3, momentum="0.1"), TypeError, "momentum"),
    "BatchNorm1d, affine": (lambda: fnn.BatchNorm1d(3, affine=0), TypeError, "affine"),
    "Dropout, a probability of 1": (lambda: fnn.Dropout(1.0), ValueError, "p"),
    "Dropout, a negative probability": (lambda: fnn.Dropout(-0.1), ValueError, "p"),
    "Dropout, NaN": (lambda: fnn.Dropout(NAN), ValueError, "p"),
    "Dropout, a switch": (lambda: fnn.Dropout(True), TypeError, "p"),
    "LeakyReLU, a negative slope": (lambda: fnn.LeakyReLU(-0.1), ValueError, "negative_slope"),
    "ELU, a negative alpha": (lambda: fnn.ELU(-1.0), ValueError, "alpha"),
    "GELU, approximate": (lambda: fnn.GELU("erf"), ValueError, "approximate"),
    "GELU, True": (lambda: fnn.GELU(True), ValueError, "approximate"),
    "Softplus, beta": (lambda: fnn.Softplus(0.0), ValueError, "beta"),
    "Softplus, threshold": (lambda: fnn.Softplus(1.0, INF), ValueError, "threshold"),
    "GELU, one dimension": (lambda: fnn.GELU()(np.ones(3)), ValueError, "x"),
    "Softmax, three dimensions": (lambda: fnn.Softmax()(np.ones((1, 2, 3))), ValueError, "x"),
    "Flatten, one dimension": (lambda: fnn.Flatten()(np.ones(3)), ValueError, "x"),
    "Flatten, nothing": (lambda: fnn.Flatten()(np.ones((0, 3))), ValueError, "x"),
    "LeakyReLU, infinity": (lambda: fnn.LeakyReLU(INF), ValueError, "negative_slope"),
    "Sequential, dtype": (lambda: fnn.Sequential(fnn.ReLU(), dtype="int32"), TypeError, "dtype"),
    "Sequential, seed": (lambda: fnn.Sequential(fnn.ReLU(), seed=2**64), ValueError, "seed"),
    "Sequential, a seed of floats": (lambda: fnn.Sequential(fnn.ReLU(), seed=1.0), TypeError, "seed"),
    "Sequential, input_scale": (lambda: fnn.Sequential(fnn.ReLU(), input_scale=NAN), ValueError, "input_scale"),
    "CrossEntropyLoss, label_smoothing": (lambda: fnn.CrossEntropyLoss(label_smoothing=1.0), ValueError, "label_smoothing"),
    "CrossEntropyLoss, reduction": (lambda: fnn.CrossEntropyLoss(reduction="average"), ValueError, "reduction"),
    "CrossEntropyLoss, labels": (lambda: fnn.CrossEntropyLoss().forward(np.ones((2, 3)), [0, 3]), ValueError, "targets"),
    "CrossEntropyLoss, shape": (lambda: fnn.CrossEntropyLoss().forward(np.ones(3), [0]), ValueError, "prediction"),
    "CrossEntropyLoss, no rows": (lambda: fnn.CrossEntropyLoss().forward(np.ones((0, 3)), []), ValueError, "prediction"),
    "CrossEntropyLoss, negative weights": (lambda: fnn.CrossEntropyLoss([1.0, -1.0]), ValueError, "class_weight"),
    "CrossEntropyLoss, weights of 0": (lambda: fnn.CrossEntropyLoss([0.0, 0.0]), ValueError, "class_weight"),
    "CrossEntropyLoss, a number as weights": (lambda: fnn.CrossEntropyLoss(2.0), ValueError, "class_weight"),
    "CrossEntropyLoss, too few weights": (
        lambda: fnn.CrossEntropyLoss([1.0, 2.0]).forward(np.ones((1, 3)), [0]),
        ValueError,
        "class_weight",
    ),
    "CrossEntropyLoss, ignore_index": (lambda: fnn.CrossEntropyLoss(ignore_index=1.0), TypeError, "ignore_index"),
    "CrossEntropyLoss, ignored probabilities": (
        lambda: fnn.CrossEntropyLoss(ignore_index=1).forward(np.ones((1, 2)), [[0.5, 0.5]]),
        ValueError,
        "ignore_index",
    ),
    "CrossEntropyLoss, a label that is not ignored": (
        lambda: fnn.CrossEntropyLoss(ignore_index=-1).forward(np.ones((2, 3)), [-1, -2]),
        ValueError,
        "targets",
    ),
    "CrossEntropyLoss, sample_weight": (
        lambda: fnn.CrossEntropyLoss().forward(np.ones((1, 2)), [0], [1.0, 2.0]),
        ValueError,
        "sample_weight",
    ),
    "NLLLoss, probabilities": (lambda: fnn.NLLLoss().forward(np.ones((1, 2)), [[0.5, 0.5]]), (ValueError, TypeError), "targets"),
    "NLLLoss, NaN weights": (lambda: fnn.NLLLoss([1.0, NAN]), ValueError, "class_weight"),
    "BCEWithLogitsLoss, targets": (lambda: fnn.BCEWithLogitsLoss().forward(np.ones((1, 1)), [2]), ValueError, "target"),
    "BCEWithLogitsLoss, pos_weight": (lambda: fnn.BCEWithLogitsLoss(pos_weight=-1.0), ValueError, "pos_weight"),
    "BCEWithLogitsLoss, too many": (
        lambda: fnn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0]).forward(np.ones((1, 3)), [[0, 1, 0]]),
        ValueError,
        "pos_weight",
    ),
    "HuberLoss, delta": (lambda: fnn.HuberLoss(delta=0.0), ValueError, "delta"),
    "PoissonNLLLoss, eps": (lambda: fnn.PoissonNLLLoss(eps=0.0), ValueError, "eps"),
    "PoissonNLLLoss, log_input": (lambda: fnn.PoissonNLLLoss(log_input=1), TypeError, "log_input"),
    "PoissonNLLLoss, counts": (lambda: fnn.PoissonNLLLoss().forward(np.ones((1, 1)), [-1]), ValueError, "target"),
    "MSELoss, sample_weight": (
        lambda: fnn.MSELoss().forward(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2))),
        ValueError,
        "sample_weight",
    ),
    "MSELoss, reduction": (lambda: fnn.MSELoss(reduction=None), ValueError, "reduction"),
    "MSELoss, shape": (lambda: fnn.MSELoss().forward(np.ones((3, 2)), np.ones(3)), ValueError, "targets"),
    "MSELoss, no rows": (lambda: fnn.MSELoss().forward(np.ones((0, 1)), np.ones(0)), ValueError, "prediction"),
    "SGD, a negative lr": (lambda: fnn.SGD(lr=-1.0), ValueError, "lr"),
    "SGD, nesterov without momentum": (lambda: fnn.SGD(nesterov=True), ValueError, "nesterov"),
    "RMSprop, alpha": (lambda: fnn.RMSprop(alpha=1.5), ValueError, "alpha"),
    "Adam, a NaN lr": (lambda: fnn.Adam(lr=NAN), ValueError, "lr"),
    "Adam, betas of 1": (lambda: fnn.Adam(betas=(0.9, 1.0)), ValueError, "betas[1]"),
    "Adam, one beta": (lambda: fnn.Adam(betas=0.9), TypeError, "betas"),
    "Adam, eps": (lambda: fnn.Adam(eps=0.0), ValueError, "eps"),
    "SGDW, momentum": (lambda: fnn.SGDW(momentum=-0.1), ValueError, "momentum"),
    "SGDW, nesterov without momentum": (lambda: fnn.SGDW(nesterov=True), ValueError, "nesterov"),
    "Adagrad, lr_decay": (lambda: fnn.Adagrad(lr_decay=-1.0), ValueError, "lr_decay"),
    "Adagrad, eps": (lambda: fnn.Adagrad(eps=0.0), ValueError, "eps"),
    "Adagrad, initial_accumulator_value": (
        lambda: fnn.Adagrad(initial_accumulator_value=-0.1),
        ValueError,
        "initial_accumulator_value",
    ),
    "Adagrad, eps_inside_sqrt": (lambda: fnn.Adagrad(eps_inside_sqrt=1), TypeError, "eps_inside_sqrt"),
    "Adadelta, rho": (lambda: fnn.Adadelta(rho=1.1), ValueError, "rho"),
    "Adadelta, weight_decay": (lambda: fnn.Adadelta(weight_decay=-1.0), ValueError, "weight_decay"),
    "AdamW, weight_decay": (lambda: fnn.AdamW(weight_decay=INF), ValueError, "weight_decay"),
    "AdamW, amsgrad": (lambda: fnn.AdamW(amsgrad=None), TypeError, "amsgrad"),
    "NAdam, betas": (lambda: fnn.NAdam(betas=(-0.1, 0.9)), ValueError, "betas[0]"),
    "NAdam, momentum_decay": (lambda: fnn.NAdam(momentum_decay=-0.1), ValueError, "momentum_decay"),
    "NAdam, decoupled_weight_decay": (lambda: fnn.NAdam(decoupled_weight_decay=1), TypeError, "decoupled_weight_decay"),
    "RAdam, lr": (lambda: fnn.RAdam(lr="fast"), TypeError, "lr"),
    "RAdam, eps": (lambda: fnn.RAdam(eps=-1.0), ValueError, "eps"),
    "Lion, betas": (lambda: fnn.Lion(betas=(0.9, 1.0)), ValueError, "betas[1]"),
    "Lion, lr": (lambda: fnn.Lion(lr=-1.0), ValueError, "lr"),
    "set_num_threads, none": (lambda: fnn.set_num_threads(0), ValueError, "n"),
    "set_num_threads, too many": (lambda: fnn.set_num_threads(10**6), ValueError, "n"),
}


@pytest.mark.parametrize(("call", "error", "argument"), LAYER_CALLS.values(), ids=LAYER_CALLS.keys())
def test_bad_arguments_are_refused_by_name(call, error, argument):
    with pytest.raises(error, match=named(argument)):
        call()


# the trainer's own arguments

TRAINER_ERRORS = {
    "a layer for a model": ({"model": fnn.Linear(3, 2)}, TypeError, "model"),
    "no loss": ({"loss": None}, TypeError, "loss"),
    "the name of a loss": ({"loss": "mse"}, TypeError, "loss"),
    "the class of a loss": ({"loss": fnn.CrossEntropyLoss}, TypeError, "loss"),
    "a loss a row": ({"loss": fnn.MSELoss(reduction="none")}, ValueError, "loss"),
    "the name of an optimizer": ({"optimizer": "adam"}, TypeError, "optimizer"),
    "the class of an optimizer": ({"optimizer": fnn.Adam}, TypeError, "optimizer"),
    "a number for a regularizer": ({"regularizer": 0.1}, TypeError, "regularizer"),
    "the class of a regularizer": ({"regularizer": fnn.L2}, TypeError, "regularizer"),
    "a clip_norm of zero": ({"clip_norm": 0.0}, ValueError, "clip_norm"),
    "a negative clip_norm": ({"clip_norm": -1.0}, ValueError, "clip_norm"),
    "an infinite clip_norm": ({"clip_norm": INF}, ValueError, "clip_norm"),
}


@pytest.mark.parametrize(("change", "error", "argument"), TRAINER_ERRORS.values(), ids=TRAINER_ERRORS.keys())
def test_bad_arguments_of_a_trainer_are_refused_by_name(change, error, argument):
    arguments = {"model": small_model(), "loss": fnn.CrossEntropyLoss(), "optimizer": fnn.Adam()} | change
    with pytest.raises(error, match=rf"^{argument}: expected"):
        fnn.Trainer(**arguments)
    if isinstance(arguments["optimizer"], fnn.Optimizer):
        assert not arguments["optimizer"].bound


def test_an_optimizer_of_another_model_is_refused_and_stays_with_it():
    other = small_model(seed=1)
    optimizer = fnn.Adam().bind(other)
    with pytest.raises(ValueError, match=r"^optimizer: expected one that is not bound to another"):
        small_trainer(optimizer=optimizer)
    assert optimizer.bound_to(other)
    assert fnn.Trainer(other, fnn.CrossEntropyLoss(), optimizer).optimizer is optimizer


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("way", ["predict", "predict_proba", "predict_labels"])
def test_prediction_refuses_what_is_not_finite_as_fit_does(way, value):
    x, y = blobs()
    trainer = small_trainer()
    trainer.fit(x, y)
    x[33, 1] = value
    with pytest.raises(ValueError, match="^x: expected finite values of float32, got NaN, infinity .* in row 33$"):
        getattr(trainer, way)(x, batch_size=10)
    assert all(layer.training for layer in trainer.model.walk()), "the mode is back"
    with np.errstate(invalid="ignore"):
        assert len(getattr(trainer, way)(x, check_finite=False)) == len(x)
