"""The optimisers walk torch's path step by step, and what torch has not, the formula's."""

import itertools
import math

import numpy as np
import pytest

import fastnn as fnn
from fastnn import kernels

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("one_torch_thread")]

STEPS = 100
CHECKED = (0, 1, STEPS // 2, STEPS - 1)  # the first steps, the first with another learning rate, the last
LR = 0.003
SMALL = ((1,), (7,), (13, 5), (3, 1, 11), (9_973,))
EPS = 1e-6  # with 1e-8 a gradient that its weight's decay cancels at the first step, but for rounding, would show
LARGEST = {"SGD": 170_003, "RMSprop": 90_001, "Adam": 70_001} | dict.fromkeys(
    ("AdamW", "Adagrad", "Adadelta", "NAdam", "RAdam", "Lion", "SGDW"), 90_001
)  # the rule goes parallel for it
RULES = {
    name: getattr(torch.optim, name) for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adagrad", "Adadelta", "NAdam", "RAdam")
}
KERNELS = {"AdamW": "adam"}
# of the way that an element has gone, and of the largest parameter, which bounds what rounding its sums can do
TOLERANCE = {np.float64: (1e-10, 1e-13), np.float32: (1e-4, 2e-6)}

SGD_OPTIONS = [
    dict(rule, weight_decay=decay)
    for rule, decay in itertools.product(
        (
            {},
            {"dampening": 0.3},
            {"momentum": 0.9},
            {"momentum": 0.8, "dampening": 0.3},
            {"momentum": 0.8, "dampening": 1.0},
            {"momentum": 0.9, "nesterov": True},
        ),
        (0.0, 0.05),
    )
]
RMSPROP_OPTIONS = [
    dict(rule, momentum=momentum, centered=centered, weight_decay=decay)
    for rule, momentum, centered, decay in itertools.product(
        ({"alpha": 0.99, "eps": EPS}, {"alpha": 0.9, "eps": 1e-3}), (0.0, 0.9), (False, True), (0.0, 0.05)
    )
]
ADAM_OPTIONS = [
    dict(rule, amsgrad=amsgrad, weight_decay=decay)
    for rule, amsgrad, decay in itertools.product(
        ({"eps": EPS}, {"betas": (0.8, 0.95), "eps": 1e-3}, {"betas": (0.0, 0.9), "eps": EPS}), (False, True), (0.0, 0.05)
    )
]

OTHER_OPTIONS = [
    (name, dict(zip(options, values, strict=True)))
    for name, options in {
        "AdamW": {"eps": (EPS, 1e-3), "betas": ((0.9, 0.999), (0.8, 0.95)), "amsgrad": (False, True), "weight_decay": (0.0, 0.5)},
        "Adagrad": {
            "eps": (1e-10, 1e-3), "lr_decay": (0.0, 0.1), "initial_accumulator_value": (0.0, 0.3), "weight_decay": (0.0, 0.05),
        },
        "Adadelta": {"rho": (0.9, 0.5), "eps": (EPS, 1e-3), "weight_decay": (0.0, 0.05)},
        "NAdam": {
            "eps": (1e-4, 1e-2), "betas": ((0.9, 0.999), (0.8, 0.95)), "momentum_decay": (4e-3, 0.1), "weight_decay": (0.0, 0.05),
            "decoupled_weight_decay": (False, True),
        },
        "RAdam": {
            "eps": (1e-4, 1e-2), "betas": ((0.9, 0.999), (0.8, 0.9), (0.9, 0.6), (0.9, 0.5), (0.0, 0.0)),
            "weight_decay": (0.0, 0.05), "decoupled_weight_decay": (False, True),
        },
    }.items()
    for values in itertools.product(*options.values())
]  # fmt: skip


@pytest.fixture(autouse=True)
def scalars_in_float64():
    """torch keeps NAdam's product of momenta in its default dtype, whatever the parameters' is."""
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(kept)


def name_of(options):
    return "-".join(f"{name}={value}" for name, value in options.items()) or "default"


def start_of(rule, rng, dtype=np.float64):
    return [rng.standard_normal(shape).astype(dtype) for shape in (*SMALL, (LARGEST[rule],))]


def gradients(start, rng):
    """For each step a gradient for each array: sizes from 1e-6 to 10 side by side, some 0, all rising and falling in time."""
    largest = start[-1].size
    size = 10.0 ** rng.uniform(-6.0, 1.0, largest)
    size[5::97] = 0.0
    noise = rng.standard_normal(largest + STEPS)
    for step in range(STEPS):
        flat = (8.0 ** math.cos(step / 5) * size * noise[step : step + largest]).astype(start[-1].dtype)
        yield [flat[: w.size].reshape(w.shape) for w in start]


def torch_peer(rule, options, start):
    """torch's optimiser, and a function that makes one step of it and returns the parameters."""
    parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    optimizer = RULES[rule](parameters, lr=LR, **options)

    def step(given, **settings):
        optimizer.param_groups[0].update(settings)
        for w, g in zip(parameters, given, strict=True):
            w.grad = torch.from_numpy(g.copy())
        optimizer.step()
        return [w.detach().numpy() for w in parameters]

    return optimizer, step


def follow(optimizer, peer_step, start, rng, settings_at=lambda step: {"lr": LR if step < STEPS // 2 else LR / 3}):
    """Walk both side by side and compare how far each element has come."""
    ours = [w.copy() for w in start]
    given = [np.zeros_like(w) for w in start]
    optimizer.bind(ours, given)
    relative, absolute = TOLERANCE[start[0].dtype.type]
    for step, gradient in enumerate(gradients(start, rng)):
        settings = settings_at(step)
        for name, value in settings.items():
            setattr(optimizer, name, value)
        for array, g in zip(given, gradient, strict=True):
            array[...] = g
        optimizer.step()
        theirs = peer_step(gradient, **settings)
        if step in CHECKED:
            for w, peer, w0 in zip(ours, theirs, start, strict=True):
                assert w.dtype == peer.dtype == w0.dtype
                bound = absolute * np.abs(peer).max()
                np.testing.assert_allclose(w - w0, peer - w0, rtol=relative, atol=bound, err_msg=f"step {step}, {w.shape}")


def follow_torch(rule, options, rng, dtype, **how):
    start = start_of(rule, rng, dtype)
    optimizer = getattr(fnn, rule)(lr=LR, **options)
    peer, peer_step = torch_peer(rule, options, start)
    follow(optimizer, peer_step, start, rng, **how)
    return optimizer, peer


def follow_formula(optimizer, formula, rng, **how):
    """`formula(w)` gives a function of gradient and learning rate that changes w in place by one step."""
    start = start_of(type(optimizer).__name__, rng)
    arrays = [w.copy() for w in start]
    steps = [formula(w) for w in arrays]

    def step(given, lr=LR):
        for move, g in zip(steps, given, strict=True):
            move(g, lr)
        return arrays

    follow(optimizer, step, start, rng, **how)


# the path


@pytest.mark.parametrize("options", SGD_OPTIONS, ids=name_of)
def test_sgd_follows_torch_for_every_option(options, rng):
    follow_torch("SGD", options, rng, np.float64)


@pytest.mark.parametrize("options", RMSPROP_OPTIONS, ids=name_of)
def test_rmsprop_follows_torch_for_every_option(options, rng):
    follow_torch("RMSprop", options, rng, np.float64)


@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=name_of)
def test_adam_follows_torch_for_every_option(options, rng):
    follow_torch("Adam", options, rng, np.float64)


@pytest.mark.parametrize(("rule", "options"), OTHER_OPTIONS, ids=lambda part: part if isinstance(part, str) else name_of(part))
def test_the_other_rules_follow_torch_for_every_option(rule, options, rng):
    follow_torch(rule, options, rng, np.float64)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("SGD", {"weight_decay": 0.05}),
        ("SGD", {"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"eps": 1e-4, "weight_decay": 0.05}),
        ("RMSprop", {"momentum": 0.9}),
        ("RMSprop", {"eps": 1e-3, "momentum": 0.9, "centered": True}),
        ("Adam", {}),
        ("Adam", {"betas": (0.8, 0.95), "eps": 1e-4, "amsgrad": True, "weight_decay": 0.05}),
        ("AdamW", {"weight_decay": 0.1}),
        ("Adagrad", {"initial_accumulator_value": 0.1}),
        ("Adadelta", {"eps": 1e-4}),
        ("NAdam", {"eps": 1e-2}),
        ("RAdam", {"eps": 1e-2, "betas": (0.9, 0.99)}),
    ],
)
def test_float32_follows_torch_to_single_precision(rule, options, rng):
    follow_torch(rule, options, rng, np.float32)


@pytest.mark.parametrize("rule", RULES)
def test_the_defaults_are_torchs(rule):
    ours = getattr(fnn, rule)(lr=LR).settings
    theirs = RULES[rule]([torch.nn.Parameter(torch.zeros(1))], lr=LR).defaults
    shared = ours.keys() & theirs.keys()
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert shared >= {"lr", "weight_decay"}


@pytest.mark.parametrize(
    ("rule", "options", "later"),
    [
        ("SGD", {"momentum": 0.9, "dampening": 0.2}, {"lr": 0.03, "momentum": 0.5, "dampening": 0.6, "weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9}, {"nesterov": True}),
        ("SGD", {"momentum": 0.9}, {"momentum": 0.0}),
        ("SGD", {"weight_decay": 0.05}, {"momentum": 0.9}),
        ("SGD", {}, {"momentum": 0.9, "dampening": 0.4}),
        ("RMSprop", {"momentum": 0.9}, {"lr": 0.005, "momentum": 0.5, "alpha": 0.8, "eps": 1e-4, "weight_decay": 0.02}),
        ("Adam", {"amsgrad": True}, {"lr": 0.005, "betas": (0.7, 0.99), "eps": 1e-4, "weight_decay": 0.02}),
        ("AdamW", {"eps": EPS}, {"lr": 0.005, "betas": (0.7, 0.99), "eps": 1e-4, "weight_decay": 0.02}),
        ("Adagrad", {"eps": EPS}, {"lr": 0.005, "lr_decay": 0.2, "eps": 1e-4, "weight_decay": 0.02}),
        ("Adadelta", {}, {"lr": 0.5, "rho": 0.5, "eps": 1e-4, "weight_decay": 0.02}),
        ("NAdam", {"eps": EPS}, {"lr": 0.005, "betas": (0.7, 0.99), "momentum_decay": 0.2, "weight_decay": 0.02}),
        ("RAdam", {"eps": EPS}, {"lr": 0.005, "betas": (0.7, 0.99), "eps": 1e-4, "weight_decay": 0.02}),
    ],
)
def test_settings_changed_between_steps_act_as_in_torch(rule, options, later, rng):
    follow_torch(rule, options, rng, np.float64, settings_at=lambda step: {} if step < STEPS // 2 else later)


@pytest.mark.parametrize(
    ("rule", "options", "names"),
    [
        ("SGD", {"momentum": 0.9, "dampening": 0.3}, {"velocity": "momentum_buffer"}),
        (
            "RMSprop",
            {"momentum": 0.9, "centered": True},
            {"square": "square_avg", "mean": "grad_avg", "velocity": "momentum_buffer"},
        ),
        (
            "Adam",
            {"amsgrad": True},
            {"first_moment": "exp_avg", "second_moment": "exp_avg_sq", "largest_moment": "max_exp_avg_sq"},
        ),
        ("Adagrad", {"initial_accumulator_value": 0.1}, {"total": "sum"}),
        ("Adadelta", {}, {"square": "square_avg", "change": "acc_delta"}),
        ("NAdam", {}, {"first_moment": "exp_avg", "second_moment": "exp_avg_sq", "product": "mu_product"}),
        ("RAdam", {}, {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}),
    ],
)
def test_the_state_after_training_is_torchs(rule, options, names, rng):
    optimizer, peer = follow_torch(rule, options, rng, np.float64)
    state = optimizer.state_dict()["state"]
    for arrays, w in zip(state, peer.param_groups[0]["params"], strict=True):
        assert arrays.keys() == names.keys()
        for name, array in arrays.items():
            theirs = peer.state[w][names[name]].numpy().reshape(-1)
            np.testing.assert_allclose(array, theirs, rtol=1e-10, atol=1e-15 * np.abs(theirs).max(), err_msg=name)


@pytest.mark.parametrize("rule", RULES)
def test_the_largest_array_is_updated_in_parallel_and_the_small_ones_are_not(rule, rng, monkeypatch):
    kernel = getattr(kernels, f"{KERNELS.get(rule, rule.lower())}_update")
    sizes = {"serial": [], "parallel": []}
    for build, seen in sizes.items():
        monkeypatch.setattr(kernel, build, _noting(getattr(kernel, build), seen))
    follow_torch(rule, {}, rng, np.float64)
    assert set(sizes["parallel"]) == {LARGEST[rule]}
    assert set(sizes["serial"]) == {math.prod(shape) for shape in SMALL}


def _noting(build, seen):
    def run(*args):
        seen.append(args[0].size)
        build(*args)

    return run


# what torch has not


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgdw_follows_its_formula(momentum, rng):
    def formula(w):
        v = np.zeros_like(w)

        def move(g, lr):
            w[...] = w - lr * 0.05 * w
            v[...] = momentum * v + g
            w[...] = w - lr * v

        return move

    follow_formula(fnn.SGDW(lr=LR, momentum=momentum, weight_decay=0.05), formula, rng)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
@pytest.mark.parametrize("betas", [(0.9, 0.99), (0.95, 0.98)])
def test_lion_follows_its_formula(betas, weight_decay, rng):
    def formula(w):
        m = np.zeros_like(w)

        def move(g, lr):
            w[...] = w - lr * (np.sign(betas[0] * m + (1 - betas[0]) * g) + weight_decay * w)
            m[...] = betas[1] * m + (1 - betas[1]) * g

        return move

    follow_formula(fnn.Lion(lr=LR, betas=betas, weight_decay=weight_decay), formula, rng)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_the_course_form_of_momentum_takes_the_same_path_at_a_constant_learning_rate(weight_decay, rng):
    mu = 0.9

    def formula(w):
        v = np.zeros_like(w)

        def move(g, lr):
            v[...] = mu * v - lr * (g + weight_decay * w)
            w[...] = w + v

        return move

    optimizer = fnn.SGD(lr=LR, momentum=mu, weight_decay=weight_decay)
    follow_formula(optimizer, formula, rng, settings_at=lambda step: {})


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("eps", [1e-7, 1e-3])
def test_rmsprop_with_eps_inside_the_root_follows_its_formula(eps, momentum, centered, weight_decay, rng):
    alpha = 0.95

    def formula(w):
        square, mean, v = np.zeros((3, *w.shape))

        def move(g, lr):
            g = g + weight_decay * w
            square[...] = alpha * square + (1 - alpha) * g**2
            mean[...] = alpha * mean + (1 - alpha) * g
            variance = np.maximum(square - mean**2, 0.0) if centered else square
            v[...] = momentum * v + g / np.sqrt(variance + eps)
            w[...] = w - lr * v

        return move

    optimizer = fnn.RMSprop(
        lr=LR, alpha=alpha, eps=eps, momentum=momentum, centered=centered, weight_decay=weight_decay, eps_inside_sqrt=True
    )
    follow_formula(optimizer, formula, rng)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize(("bias_correction", "eps_inside"), [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("eps", [EPS, 1e-3])
def test_adam_without_correction_or_with_eps_inside_the_root_follows_its_formula(
    eps, bias_correction, eps_inside, amsgrad, weight_decay, rng
):
    beta1, beta2 = 0.85, 0.97

    def formula(w):
        m, s, largest = np.zeros((3, *w.shape))
        counter = itertools.count(1)

        def move(g, lr):
            t = next(counter)
            g = g + weight_decay * w
            m[...] = beta1 * m + (1 - beta1) * g
            s[...] = beta2 * s + (1 - beta2) * g**2
            largest[...] = np.maximum(largest, s)
            first = m / (1 - beta1**t) if bias_correction else m
            second = largest if amsgrad else s
            second = second / (1 - beta2**t) if bias_correction else second
            root = np.sqrt(second + eps) if eps_inside else np.sqrt(second) + eps
            w[...] = w - lr * first / root

        return move

    optimizer = fnn.Adam(
        lr=LR,
        betas=(beta1, beta2),
        eps=eps,
        weight_decay=weight_decay,
        amsgrad=amsgrad,
        bias_correction=bias_correction,
        eps_inside_sqrt=eps_inside,
    )
    follow_formula(optimizer, formula, rng)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
@pytest.mark.parametrize("eps", [1e-7, 1e-3])
def test_adagrad_with_eps_inside_the_root_follows_its_formula(eps, weight_decay, rng):
    def formula(w):
        total = np.zeros_like(w)

        def move(g, lr):
            g = g + weight_decay * w
            total[...] = total + g**2
            w[...] = w - lr * g / np.sqrt(total + eps)

        return move

    follow_formula(fnn.Adagrad(lr=LR, eps=eps, weight_decay=weight_decay, eps_inside_sqrt=True), formula, rng)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_centered_rmsprop_stays_finite_where_the_variance_rounds_below_zero(momentum):
    """One gradient over and over: with alpha 0 the variance is 0 but for rounding. torch gets NaN from such roots."""
    g = np.random.default_rng(0).standard_normal(1009)
    w = np.zeros_like(g)
    optimizer = fnn.RMSprop(lr=LR, alpha=0.0, eps=1e-3, momentum=momentum, centered=True).bind([w], [g])
    for _ in range(STEPS):
        optimizer.step()
    assert np.isfinite(w).all()
    steps_taken = sum(1.0 if momentum == 0.0 else (1 - momentum**t) / (1 - momentum) for t in range(1, STEPS + 1))
    # eps bounds the root from below, rounding of g² from above
    np.testing.assert_allclose(w, -LR * steps_taken * g / 1e-3, rtol=1e-3)


# clipping


def gradients_of_a_model(dtype, rng):
    """A model with random gradients, and torch parameters with the same ones."""
    model = fnn.Sequential(fnn.Linear(11, 7), fnn.BatchNorm1d(7), fnn.ReLU(), fnn.Linear(7, 5), seed=0, dtype=dtype)
    arrays = [array for layer in model for array in layer.gradients.values()]
    parameters = []
    for g in arrays:
        g[...] = rng.normal(0.0, 3.0, g.shape)
        parameters.append(torch.nn.Parameter(torch.zeros(g.shape, dtype=getattr(torch, g.dtype.name))))
        parameters[-1].grad = torch.from_numpy(g.copy())
    return model, arrays, parameters


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-14), (np.float32, 1e-6)])
@pytest.mark.parametrize("share", [1e-9, 0.3, 0.999, 1.0, 1.001, 50.0], ids=lambda share: f"max_norm={share} of the norm")
def test_clip_grad_norm_scales_as_torch_and_returns_the_norm_before(share, dtype, tolerance, rng):
    model, arrays, parameters = gradients_of_a_model(dtype, rng)
    max_norm = share * float(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in arrays)))
    norm = fnn.clip_grad_norm_(model, max_norm)
    theirs = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    np.testing.assert_allclose(norm, theirs.item(), rtol=tolerance)
    for g, w in zip(arrays, parameters, strict=True):
        np.testing.assert_allclose(g, w.grad.numpy(), rtol=tolerance)


def test_clip_grad_norm_takes_a_layer_by_itself(rng):
    layer = fnn.Linear(13, 3, dtype=np.float64, seed=0)
    parameters = []
    for g in layer.gradients.values():
        g[...] = rng.standard_normal(g.shape)
        parameters.append(torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)))
        parameters[-1].grad = torch.from_numpy(g.copy())
    norm = fnn.clip_grad_norm_(layer, 0.7)
    np.testing.assert_allclose(norm, torch.nn.utils.clip_grad_norm_(parameters, 0.7).item(), rtol=1e-14)
    for g, w in zip(layer.gradients.values(), parameters, strict=True):
        np.testing.assert_allclose(g, w.grad.numpy(), rtol=1e-14)


def test_clip_grad_norm_leaves_gradients_of_zero_alone(rng):
    model, arrays, _ = gradients_of_a_model(np.float64, rng)
    model.flat_gradients[...] = 0.0
    assert fnn.clip_grad_norm_(model, 1.0) == 0.0
    assert not any(g.any() for g in arrays)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_clip_grad_norm_treats_a_gradient_that_is_not_finite_as_torch(value, rng):
    model, arrays, parameters = gradients_of_a_model(np.float64, rng)
    arrays[0][3, 2] = value
    parameters[0].grad[3, 2] = value
    norm = fnn.clip_grad_norm_(model, 1.0)
    np.testing.assert_equal(norm, torch.nn.utils.clip_grad_norm_(parameters, 1.0).item())
    for g, w in zip(arrays, parameters, strict=True):
        np.testing.assert_array_equal(g, w.grad.numpy())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("limit", [1e-9, 0.5, 3.0, 50.0])
def test_clip_grad_value_clips_as_torch(limit, dtype, rng):
    model, arrays, parameters = gradients_of_a_model(dtype, rng)
    arrays[0][3, 2], arrays[0][1, 1] = np.inf, np.nan
    parameters[0].grad[3, 2], parameters[0].grad[1, 1] = np.inf, np.nan
    assert fnn.clip_grad_value_(model, limit) is None
    torch.nn.utils.clip_grad_value_(parameters, limit)
    for g, w in zip(arrays, parameters, strict=True):
        np.testing.assert_array_equal(g, w.grad.numpy())


@pytest.mark.parametrize("rule", RULES)
def test_a_step_with_a_gradient_scale_is_a_step_on_scaled_gradients(rule, rng):
    options = {"weight_decay": 0.05} | ({} if rule == "SGD" else {"eps": EPS})
    start = start_of(rule, rng)
    _, peer_step = torch_peer(rule, options, start)
    ours, given = [w.copy() for w in start], [np.zeros_like(w) for w in start]
    optimizer = getattr(fnn, rule)(lr=LR, **options).bind(ours, given)
    for step, gradient in enumerate(gradients(start, rng)):
        scale = 1.0 / (1 + step % 3)
        for array, g in zip(given, gradient, strict=True):
            array[...] = g
        optimizer.step(scale)
        theirs = peer_step([g * scale for g in gradient])
    for w, peer, w0 in zip(ours, theirs, start, strict=True):
        np.testing.assert_allclose(w - w0, peer - w0, rtol=1e-10, atol=1e-13 * np.abs(peer).max())
