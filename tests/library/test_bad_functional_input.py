"""What bad input gets from fastnn.functional: an error that names the argument, and outputs that nobody has written to."""

import re

import numpy as np
import pytest

from fastnn import functional as F

M, N, K = 5, 4, 3
X = np.linspace(-1.0, 1.0, M * N).reshape(M, N)
W = np.linspace(0.0, 1.0, N * K).reshape(N, K)
DY = np.linspace(1.0, 2.0, M * K).reshape(M, K)
LABELS = np.arange(M) % K
SOFT = np.full((M, K), 1.0 / K)
STATS = np.ones((3, N))
V = np.ones(7)


def full(*shape):
    return np.full(shape, 7.0)


def read_only(*shape):
    array = np.full(shape, 7.0)
    array.flags.writeable = False
    return array


# name: (call with out=, its shape, what the error calls it)
OUTPUTS = {
    "activation": (lambda out: F.activation("tanh", X, out=out), (M, N), "out"),
    "activation_backward": (lambda out: F.activation_backward("relu", X, X, out=out), (M, N), "out"),
    "selu": (lambda out: F.selu(X, out=out), (M, N), "out"),
    "elu": (lambda out: F.elu(X, out=out), (M, N), "out"),
    "gelu": (lambda out: F.gelu(X, out=out), (M, N), "out"),
    "gelu_backward": (lambda out: F.gelu_backward(X, X, out=out), (M, N), "out"),
    "silu_backward": (lambda out: F.silu_backward(X, X, out=out), (M, N), "out"),
    "softplus": (lambda out: F.softplus(X, out=out), (M, N), "out"),
    "softmax": (lambda out: F.softmax(X, out=out), (M, N), "out"),
    "log_softmax_backward": (lambda out: F.log_softmax_backward(X, X, out=out), (M, N), "out"),
    "dropout": (lambda out: F.dropout(X, 0.5, out=out), (M, N), "out"),
    "dropout outside training": (lambda out: F.dropout(X, 0.5, training=False, out=out), (M, N), "out"),
    "dropout_backward": (lambda out: F.dropout_backward(X, 0.5, out=out), (M, N), "out"),
    "linear": (lambda out: F.linear(X, W, out=out), (M, K), "out"),
    "linear_backward, dx": (lambda out: F.linear_backward(DY, X, W, out=(out, None, None)), (M, N), "out[0]"),
    "linear_backward, dweight": (lambda out: F.linear_backward(DY, X, W, out=(None, out, None)), (N, K), "out[1]"),
    "linear_backward, dbias": (lambda out: F.linear_backward(DY, X, W, out=(None, None, out)), (K,), "out[2]"),
    "batch_norm": (lambda out: F.batch_norm(X, training=True, out=out), (M, N), "out"),
    "batch_norm, stats": (lambda out: F.batch_norm(X, training=True, stats=out), (3, N), "stats"),
    "batch_norm, running_mean": (lambda out: F.batch_norm(X, None, None, out, np.ones(N), True), (N,), "running_mean"),
    "batch_norm, running_var": (lambda out: F.batch_norm(X, None, None, np.ones(N), out, True), (N,), "running_var"),
    "batch_norm_backward, dx": (lambda out: F.batch_norm_backward(X, X, None, STATS, out=(out, None, None)), (M, N), "out[0]"),
    "batch_norm_backward, dgamma": (lambda out: F.batch_norm_backward(X, X, None, STATS, out=(None, out, None)), (N,), "out[1]"),
    "batch_norm_backward, dbeta": (lambda out: F.batch_norm_backward(X, X, None, STATS, out=(None, None, out)), (N,), "out[2]"),
    "cross_entropy_backward": (lambda out: F.cross_entropy_backward(DY, LABELS, out=out), (M, K), "out"),
    "cross_entropy_backward, soft": (lambda out: F.cross_entropy_backward(DY, SOFT, out=out), (M, K), "out"),
    "mse_loss_backward": (lambda out: F.mse_loss_backward(X, X, out=out), (M, N), "out"),
    "cross_entropy_backward, weighted": (
        lambda out: F.cross_entropy_backward(DY, LABELS, class_weight=np.ones(K), out=out),
        (M, K),
        "out",
    ),
    "nll_loss": (lambda out: F.nll_loss(DY, LABELS, out=out), (M,), "out"),
    "nll_loss_backward": (lambda out: F.nll_loss_backward(DY, LABELS, out=out), (M, K), "out"),
    "l1_loss": (lambda out: F.l1_loss(X, 0 * X, out=out), (M, N), "out"),
    "huber_loss_backward": (lambda out: F.huber_loss_backward(X, 0 * X, out=out), (M, N), "out"),
    "poisson_nll_loss": (lambda out: F.poisson_nll_loss(X, X**2, out=out), (M, N), "out"),
    "binary_cross_entropy_with_logits_backward": (
        lambda out: F.binary_cross_entropy_with_logits_backward(X, X**2, out=out),
        (M, N),
        "out",
    ),
    "gather": (lambda out: F.gather(X, np.arange(2), dtype=np.float64, out=out), (2, N), "out"),
    "sgd_update, velocity": (lambda out: F.sgd_update(V.copy(), V, 0.1, velocity=out, momentum=0.9), (7,), "velocity"),
    "rmsprop_update, square": (lambda out: F.rmsprop_update(V.copy(), V, out, 0.1), (7,), "square"),
    "rmsprop_update, mean": (lambda out: F.rmsprop_update(V.copy(), V, full(7), 0.1, mean=out, centered=True), (7,), "mean"),
    "adam_update, first_moment": (lambda out: F.adam_update(V.copy(), V, out, full(7), 1, 0.1), (7,), "first_moment"),
    "adam_update, second_moment": (lambda out: F.adam_update(V.copy(), V, full(7), out, 1, 0.1), (7,), "second_moment"),
    "adam_update, largest_moment": (
        lambda out: F.adam_update(V.copy(), V, full(7), 9.0 * full(7), 1, 0.1, largest_moment=out, amsgrad=True),
        (7,),
        "largest_moment",
    ),
}
BAD_OUTPUTS = {
    "one element too many": lambda shape: full(*shape[:-1], shape[-1] + 1),
    "another dimension": lambda shape: full(1, *shape),
    "float32": lambda shape: full(*shape).astype(np.float32),
    "integers": lambda shape: full(*shape).astype(int),
    "read-only": lambda shape: read_only(*shape),
    "strided": lambda shape: full(*shape[:-1], 2 * shape[-1])[..., ::2],
}


def named(argument):
    """A pattern: the message begins with the argument's name."""
    return rf"^{re.escape(argument)}(\[\d\])?(: |, )"


@pytest.mark.parametrize("bad", BAD_OUTPUTS.values(), ids=BAD_OUTPUTS.keys())
@pytest.mark.parametrize(("call", "shape", "argument"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_an_output_that_cannot_hold_the_result_is_refused_and_not_written_to(call, shape, argument, bad):
    out = bad(shape)
    with pytest.raises(ValueError, match=named(argument)):
        call(out)
    assert (out == 7).all()


@pytest.mark.parametrize(("call", "shape", "argument"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_an_output_that_is_no_array_is_refused(call, shape, argument):
    with pytest.raises(TypeError, match=named(argument)):
        call(full(*shape).tolist())


@pytest.mark.parametrize(("call", "shape", "argument"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_a_good_output_is_filled(call, shape, argument):
    out = np.full(shape, 7.0)
    call(out)
    assert not (out == 7.0).all()


ARGUMENTS = {
    # activations
    "activation, unknown": (lambda: F.activation("swish", X), ValueError, "name"),
    "activation, None": (lambda: F.activation(None, X), (TypeError, ValueError), "name"),
    "activation_backward, None": (lambda: F.activation_backward(None, X, X), (TypeError, ValueError), "name"),
    "leaky_relu, a negative slope": (lambda: F.leaky_relu(X, -0.1), ValueError, "negative_slope"),
    "relu, objects": (lambda: F.relu(X.astype(object)), TypeError, "x"),
    "tanh, complex": (lambda: F.tanh(X + 1j), TypeError, "x"),
    "relu_backward, shape": (lambda: F.relu_backward(X[1:], X), ValueError, "dy"),
    "sigmoid_backward, strings": (lambda: F.sigmoid_backward(X, ["a"]), TypeError, "y"),
    "softmax, strings": (lambda: F.softmax(["a"]), TypeError, "x"),
    "softmax, no classes": (lambda: F.softmax(np.ones((3, 0))), ValueError, "x"),
    # dropout
    "dropout, p of 1": (lambda: F.dropout(X, 1.0), ValueError, "p"),
    "dropout, negative p": (lambda: F.dropout(X, -0.1), ValueError, "p"),
    "dropout, NaN p": (lambda: F.dropout(X, np.nan), ValueError, "p"),
    "dropout, p of words": (lambda: F.dropout(X, "0.5"), TypeError, "p"),
    "dropout, a negative seed": (lambda: F.dropout(X, 0.5, -1), ValueError, "seed"),
    "dropout, a seed of floats": (lambda: F.dropout(X, 0.5, 1.0), TypeError, "seed"),
    "dropout, step": (lambda: F.dropout(X, 0.5, 0, 2**32), ValueError, "step"),
    "dropout, stream": (lambda: F.dropout(X, 0.5, stream=-1), ValueError, "stream"),
    "dropout_backward, p of 1": (lambda: F.dropout_backward(X, 1.0), ValueError, "p"),
    "dropout_backward, strings": (lambda: F.dropout_backward(["a"]), TypeError, "dy"),
    # linear
    "linear, features": (lambda: F.linear(X[:, 1:], W), ValueError, "x"),
    "linear, one dimension": (lambda: F.linear(X[0], W), ValueError, "x"),
    "linear, weight": (lambda: F.linear(X, W[0]), ValueError, "weight"),
    "linear, weight of objects": (lambda: F.linear(X, W.astype(object)), TypeError, "weight"),
    "linear, bias": (lambda: F.linear(X, W, np.ones(K + 1)), ValueError, "bias"),
    "linear, a scalar bias": (lambda: F.linear(X, W, 1.0), ValueError, "bias"),
    "linear, activation": (lambda: F.linear(X, W, activation="softmax"), ValueError, "activation"),
    "linear, slope": (lambda: F.linear(X, W, activation="leaky_relu", negative_slope=-1.0), ValueError, "negative_slope"),
    "linear_backward, dy": (lambda: F.linear_backward(DY[1:], X, W), ValueError, "dy"),
    "linear_backward, x": (lambda: F.linear_backward(DY, X[:, 1:], W), ValueError, "x"),
    "linear_backward, no y": (lambda: F.linear_backward(DY, X, W, activation="relu"), ValueError, "y"),
    "linear_backward, y": (lambda: F.linear_backward(DY, X, W, activation="relu", y=DY[1:]), ValueError, "y"),
    "linear_backward, accumulate": (lambda: F.linear_backward(DY, X, W, accumulate=True), ValueError, "out"),
    # batch normalisation
    "batch_norm, one row": (lambda: F.batch_norm(X[:1], training=True), ValueError, "x"),
    "batch_norm, no rows": (lambda: F.batch_norm(X[:0], training=True), ValueError, "x"),
    "batch_norm, one dimension": (lambda: F.batch_norm(X[0], training=True), ValueError, "x"),
    "batch_norm, gamma": (lambda: F.batch_norm(X, np.ones(N + 1), training=True), ValueError, "gamma"),
    "batch_norm, beta": (lambda: F.batch_norm(X, None, np.ones((1, N)), training=True), ValueError, "beta"),
    "batch_norm, half the running statistics": (lambda: F.batch_norm(X, None, None, np.ones(N)), ValueError, "running_mean"),
    "batch_norm, none in use": (lambda: F.batch_norm(X), ValueError, "running_mean"),
    "batch_norm, momentum": (lambda: F.batch_norm(X, training=True, momentum=1.1), ValueError, "momentum"),
    "batch_norm, eps": (lambda: F.batch_norm(X, training=True, eps=-1.0), ValueError, "eps"),
    "batch_norm, training": (lambda: F.batch_norm(X, training=1), TypeError, "training"),
    "batch_norm_backward, dy": (lambda: F.batch_norm_backward(X[1:], X, None, STATS), ValueError, "dy"),
    "batch_norm_backward, stats": (lambda: F.batch_norm_backward(X, X, None, STATS[1:]), ValueError, "stats"),
    # losses
    "cross_entropy, a large label": (lambda: F.cross_entropy(DY, LABELS + 1), ValueError, "targets"),
    "cross_entropy, a negative label": (lambda: F.cross_entropy(DY, LABELS - 1), ValueError, "targets"),
    "cross_entropy, labels as floats": (lambda: F.cross_entropy(DY, LABELS * 1.0), TypeError, "targets"),
    "cross_entropy, too few labels": (lambda: F.cross_entropy(DY, LABELS[1:]), ValueError, "targets"),
    "cross_entropy, probabilities": (lambda: F.cross_entropy(DY, SOFT[:, 1:]), ValueError, "targets"),
    "cross_entropy, no rows": (lambda: F.cross_entropy(DY[:0], LABELS[:0]), ValueError, "logits"),
    "cross_entropy, no classes": (lambda: F.cross_entropy(DY[:, :0], LABELS), ValueError, "logits"),
    "cross_entropy, one dimension": (lambda: F.cross_entropy(DY[0], LABELS), ValueError, "logits"),
    "cross_entropy, smoothing": (lambda: F.cross_entropy(DY, LABELS, 1.0), ValueError, "label_smoothing"),
    "cross_entropy, negative smoothing": (lambda: F.cross_entropy(DY, LABELS, -0.1), ValueError, "label_smoothing"),
    "cross_entropy, reduction": (lambda: F.cross_entropy(DY, LABELS, reduction="max"), ValueError, "reduction"),
    "cross_entropy_backward, label": (lambda: F.cross_entropy_backward(DY, LABELS + 1), ValueError, "targets"),
    "cross_entropy_backward, dloss": (lambda: F.cross_entropy_backward(DY, LABELS, dloss=np.ones(M)), ValueError, "dloss"),
    "cross_entropy_backward, dlosses": (
        lambda: F.cross_entropy_backward(DY, LABELS, reduction="none", dloss=np.ones(M + 1)),
        ValueError,
        "dloss",
    ),
    "cross_entropy_backward, too few log_sums": (
        lambda: F.cross_entropy_backward(DY, LABELS, log_sums=np.ones(M - 1)),
        ValueError,
        "log_sums",
    ),
    "cross_entropy_backward, log_sums of a table": (
        lambda: F.cross_entropy_backward(DY, LABELS, log_sums=np.ones((M, 1))),
        ValueError,
        "log_sums",
    ),
    "mse_loss, shape": (lambda: F.mse_loss(X, X[:, 0]), ValueError, "target"),
    "mse_loss, nothing": (lambda: F.mse_loss([], []), ValueError, "prediction"),
    "mse_loss, objects": (lambda: F.mse_loss(X, X.astype(object)), TypeError, "target"),
    "mse_loss, reduction": (lambda: F.mse_loss(X, X, "average"), ValueError, "reduction"),
    "mse_loss_backward, shape": (lambda: F.mse_loss_backward(X, X[1:]), ValueError, "target"),
    "mse_loss_backward, dloss": (lambda: F.mse_loss_backward(X, X, dloss=X), ValueError, "dloss"),
    "cross_entropy, class_weight": (lambda: F.cross_entropy(DY, LABELS, class_weight=np.ones(K + 1)), ValueError, "class_weight"),
    "cross_entropy, a negative class_weight": (
        lambda: F.cross_entropy(DY, LABELS, class_weight=-np.ones(K)),
        ValueError,
        "class_weight",
    ),
    "cross_entropy, sample_weight": (lambda: F.cross_entropy(DY, SOFT, sample_weight=np.ones(K)), ValueError, "sample_weight"),
    "cross_entropy, a NaN sample_weight": (
        lambda: F.cross_entropy(DY, LABELS, sample_weight=np.full(M, np.nan)),
        ValueError,
        "sample_weight",
    ),
    "cross_entropy, ignored probabilities": (lambda: F.cross_entropy(DY, SOFT, ignore_index=0), ValueError, "ignore_index"),
    "nll_loss, a large label": (lambda: F.nll_loss(DY, LABELS + 1), ValueError, "targets"),
    "nll_loss, one dimension": (lambda: F.nll_loss(DY[0], LABELS), ValueError, "log_probabilities"),
    "nll_loss, no rows": (lambda: F.nll_loss(DY[:0], LABELS[:0]), ValueError, "log_probabilities"),
    "nll_loss_with_gradient, reduction": (lambda: F.nll_loss_with_gradient(DY, LABELS, "none"), ValueError, "reduction"),
    "l1_loss, shape": (lambda: F.l1_loss(X, X[:, 0]), ValueError, "target"),
    "l1_loss, sample_weight": (lambda: F.l1_loss(X, X, sample_weight=np.ones(N)), ValueError, "sample_weight"),
    "l1_loss, weight of a number": (lambda: F.l1_loss(1.0, 2.0, sample_weight=[1.0]), ValueError, "sample_weight"),
    "huber_loss, delta": (lambda: F.huber_loss(X, X, delta=-1.0), ValueError, "delta"),
    "poisson_nll_loss, counts": (lambda: F.poisson_nll_loss(X, -np.ones_like(X)), ValueError, "target"),
    "poisson_nll_loss, eps": (lambda: F.poisson_nll_loss(X, X**2, eps=0.0), ValueError, "eps"),
    "poisson_nll_loss, full": (lambda: F.poisson_nll_loss(X, X**2, full=1), TypeError, "full"),
    "binary_cross_entropy_with_logits, target": (lambda: F.binary_cross_entropy_with_logits(X, X - 3.0), ValueError, "target"),
    "binary_cross_entropy_with_logits, logits": (lambda: F.binary_cross_entropy_with_logits([], []), ValueError, "logits"),
    "binary_cross_entropy_with_logits, pos_weight": (
        lambda: F.binary_cross_entropy_with_logits(X, X**2, pos_weight=np.ones(N + 1)),
        ValueError,
        "pos_weight",
    ),
    # rows and bits
    "gather, an index too large": (lambda: F.gather(X, np.array([0, M])), ValueError, "index"),
    "gather, a negative index": (lambda: F.gather(X, np.array([-1])), ValueError, "index"),
    "gather, an index of two dimensions": (lambda: F.gather(X, np.zeros((1, 1), int)), ValueError, "index"),
    "gather, fractions as an index": (lambda: F.gather(X, np.array([0.7])), (TypeError, ValueError), "index"),
    "gather, a mask as an index": (lambda: F.gather(X, np.ones(M, bool)), (TypeError, ValueError), "index"),
    "gather, objects": (lambda: F.gather(X.astype(object), np.array([0])), (TypeError, ValueError), "source"),
    "gather, one dimension": (lambda: F.gather(X[0], np.array([0])), ValueError, "source"),
    "gather, dtype": (lambda: F.gather(X, np.array([0]), dtype=int), TypeError, "dtype"),
    "gather, scale": (lambda: F.gather(X, np.array([0]), np.inf), ValueError, "scale"),
    "random_bits, size": (lambda: F.random_bits(-1), ValueError, "size"),
    "random_bits, seed": (lambda: F.random_bits(1, 2**64), ValueError, "seed"),
    "random_bits, step": (lambda: F.random_bits(1, 0, -1), ValueError, "step"),
    # update rules
    "sgd_update, a list": (lambda: F.sgd_update([1.0], V[:1], 0.1), TypeError, "parameters"),
    "sgd_update, integers": (lambda: F.sgd_update(np.ones(7, int), V, 0.1), TypeError, "parameters"),
    "sgd_update, read-only": (lambda: F.sgd_update(read_only(7), V, 0.1), ValueError, "parameters"),
    "sgd_update, two dimensions": (lambda: F.sgd_update(np.ones((1, 7)), V, 0.1), (TypeError, ValueError), "parameters"),
    "sgd_update, gradients": (lambda: F.sgd_update(V.copy(), V[1:], 0.1), ValueError, "gradients"),
    "sgd_update, gradients of another dtype": (lambda: F.sgd_update(V.copy(), V.astype("f4"), 0.1), ValueError, "gradients"),
    "sgd_update, no velocity": (lambda: F.sgd_update(V.copy(), V, 0.1, momentum=0.9), ValueError, "velocity"),
    "sgd_update, a NaN lr": (lambda: F.sgd_update(V.copy(), V, np.nan), ValueError, "lr"),
    "rmsprop_update, an infinite lr": (lambda: F.rmsprop_update(V.copy(), V, full(7), np.inf), ValueError, "lr"),
    "rmsprop_update, rho": (lambda: F.rmsprop_update(V.copy(), V, full(7), 0.1, rho=1.5), ValueError, "rho"),
    "adam_update, a negative lr": (lambda: F.adam_update(V.copy(), V, full(7), full(7), 1, -0.1), ValueError, "lr"),
    "adam_update, a beta of 1": (
        lambda: F.adam_update(V.copy(), V, full(7), full(7), 1, 0.1, betas=(1.0, 0.9)),
        ValueError,
        "betas",
    ),
    "adam_update, step zero": (lambda: F.adam_update(V.copy(), V, full(7), full(7), 0, 0.1), ValueError, "t"),
    "adam_update, no largest_moment": (
        lambda: F.adam_update(V.copy(), V, full(7), full(7), 1, 0.1, amsgrad=True),
        ValueError,
        "largest_moment",
    ),
    "adagrad_update, step zero": (lambda: F.adagrad_update(V.copy(), V, full(7), 0, 0.1), ValueError, "t"),
    "adagrad_update, total": (lambda: F.adagrad_update(V.copy(), V, full(6), 1, 0.1), ValueError, "total"),
    "adadelta_update, rho": (lambda: F.adadelta_update(V.copy(), V, full(7), full(7), 1.0, rho=-1.0), ValueError, "rho"),
    "nadam_update, product": (
        lambda: F.nadam_update(V.copy(), V, full(7), full(7), full(7), 1, 0.1),
        ValueError,
        "product",
    ),
    "nadam_update, no product": (lambda: F.nadam_update(V.copy(), V, full(7), full(7), None, 1, 0.1), ValueError, "product"),
    "radam_update, gradient_scale": (
        lambda: F.radam_update(V.copy(), V, full(7), full(7), 1, 0.1, gradient_scale=np.nan),
        ValueError,
        "gradient_scale",
    ),
    "lion_update, momentum": (lambda: F.lion_update(V.copy(), V, read_only(7), 0.1), ValueError, "momentum"),
    "clip_values, bound": (lambda: F.clip_values(V.copy(), -1.0), ValueError, "bound"),
    "soft_threshold, threshold": (lambda: F.soft_threshold(V.copy(), -1.0), ValueError, "threshold"),
    "limit_column_norms, dimensions": (lambda: F.limit_column_norms(V.copy(), 1.0), ValueError, "weights"),
    "squared_norm, strings": (lambda: F.squared_norm(["a"]), TypeError, "x"),
    "add_penalty_gradient, read-only": (lambda: F.add_penalty_gradient(V, read_only(7), 0.1, 0.1), ValueError, "gradients"),
    "add_penalty_gradient, weights": (lambda: F.add_penalty_gradient(V[1:], full(7), 0.1, 0.1), ValueError, "weights"),
}


@pytest.mark.parametrize(("call", "error", "argument"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_bad_arguments_are_refused_by_name(call, error, argument):
    with pytest.raises(error, match=named(argument)):
        call()
