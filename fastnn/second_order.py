"""Second-order training on all rows at once, in float64: SciPy's minimisers on the flat vector of parameters, and plain Newton.

For small models and data, where each step may cost many passes and the loss is to be driven to its least. The model is worked on
as a float64 copy, whatever its dtype, and gets the weights at the end. Batch normalisation takes the statistics of all rows, and
its running statistics are those of all rows in the end. Dropout is refused: an objective that changes from one evaluation to the
next has no curvature to speak of. So are L1 penalties, whose gradient jumps at 0.

Sources: J. Nocedal and S. Wright, "Numerical optimization" (2006), 3.3, 6.1, 7.1 and 7.2.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, choice, integer, number, quote
from .averaging import update_bn
from .layers import BatchNorm1d, Dropout
from .regularizers import ElasticNet
from .sequential import Sequential

__all__ = ["Minimum", "minimize", "newton"]

_METHODS = ("L-BFGS-B", "BFGS", "Newton-CG")
# The differences leave 1e-12 of the largest where the Hessian is singular: softmax without a penalty came to 7e11 at the least
_SINGULAR = 1e10


@dataclass
class Minimum:
    """How a minimisation went. The arrays begin with the start and have an entry for each iteration.

    losses: the objective, penalty included. seconds: since the start. evaluations: of the gradient so far.
    """

    method: str
    converged: bool
    message: str
    losses: Array = field(repr=False)
    seconds: Array = field(repr=False)
    evaluations: Array = field(repr=False)

    @property
    def iterations(self) -> int:
        """How many there were."""
        return len(self.losses) - 1

    @property
    def loss(self) -> float:
        """The last of the losses."""
        return float(self.losses[-1])


def minimize(
    model: Sequential,
    loss: Any,
    x: ArrayLike,
    y: ArrayLike,
    method: str = "L-BFGS-B",
    *,
    regularizer: ElasticNet | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-8,
    callback: Callable[[int, float], object] | None = None,
) -> Minimum:
    """Train on all rows by SciPy's L-BFGS-B, BFGS or Newton-CG; the model gets the weights that were found.

    x, y, loss: as for `Trainer.fit`. regularizer: L2, or an ElasticNet without l1. tolerance: on the largest element of the
    gradient (for Newton-CG on the step). callback: called as callback(iteration, loss) after each; True ends it.

    BFGS keeps a matrix of n² numbers for n parameters and refuses a model for which that does not fit into memory. Newton-CG
    takes the product of Hessian and vector from the difference of two gradients. Raises ValueError or TypeError for bad
    arguments, with the model untouched, and ImportError without SciPy: pip install "fastnn[scipy]".

    >>> model = Sequential(Linear(2, 1, dtype=np.float64), seed=0, dtype=np.float64)
    >>> found = minimize(model, MSELoss(), [[0, 1], [1, 0], [1, 1]], [1.0, 2.0, 3.0])
    >>> found.converged, np.round(model(np.array([[2.0, 2.0]])), 3)
    (True, array([[6.]]))
    """
    method = choice("method", method, _METHODS)
    max_iterations = integer("max_iterations", max_iterations, low=1)
    tolerance = number("tolerance", tolerance, low=0.0)
    problem = _Objective(model, loss, x, y, regularizer)
    if method == "BFGS":
        _refuse_what_does_not_fit("BFGS", problem.size, 7)  # six were measured in SciPy's
    try:
        optimize = importlib.import_module("scipy.optimize")
    except ImportError as error:
        raise ImportError('minimize needs SciPy: pip install "fastnn[scipy]"') from error
    start = problem.start()
    course = _Course(problem, start)

    def note(intermediate_result: Any) -> None:
        course.note(float(intermediate_result.fun))
        if callback is not None and callback(len(course.losses) - 1, course.losses[-1]):
            raise StopIteration

    options: dict[str, float] = {"maxiter": max_iterations}
    options |= {"xtol": tolerance} if method == "Newton-CG" else {"gtol": tolerance}
    if method == "L-BFGS-B":
        options |= {"ftol": float(np.finfo(np.float64).eps), "maxfun": 50 * max_iterations}
    result = optimize.minimize(
        problem, start, jac=True, method=method, callback=note, options=options,
        hessp=problem.times_hessian if method == "Newton-CG" else None,
    )  # fmt: skip
    problem.write_back(result.x)
    return course.end(method, bool(result.success), str(result.message))


def newton(
    model: Sequential,
    loss: Any,
    x: ArrayLike,
    y: ArrayLike,
    *,
    damping: float = 0.0,
    max_iterations: int = 20,
    tolerance: float = 1e-8,
    regularizer: ElasticNet | None = None,
    callback: Callable[[int, float], object] | None = None,
) -> Minimum:
    """Plain Newton on all rows: W -= (H + damping · I)⁻¹ ∇L with the full Hessian, by differences of 2n gradients; small models.

    It goes to the nearest point where the gradient vanishes, which need not be a minimum: damping makes the steps shorter and
    turns them downhill. tolerance: on the largest element of the gradient. The other arguments, and the errors, are `minimize`'s;
    a Hessian that is singular, as that of softmax without a penalty, is a ValueError that names damping.

    >>> model = Sequential(Linear(2, 1, dtype=np.float64), seed=0, dtype=np.float64)
    >>> found = newton(model, MSELoss(), [[0, 1], [1, 0], [1, 1]], [1.0, 2.0, 3.0])
    >>> found.iterations, found.loss < 1e-12  # a quadratic takes one step
    (1, True)
    """
    damping = number("damping", damping, low=0.0)
    max_iterations = integer("max_iterations", max_iterations, low=1)
    tolerance = number("tolerance", tolerance, low=0.0)
    problem = _Objective(model, loss, x, y, regularizer)
    _refuse_what_does_not_fit("newton", problem.size, 4)
    theta = problem.start()
    course = _Course(problem, theta)
    converged, message = False, "the largest number of iterations was reached"
    for iteration in range(1, max_iterations + 1):
        _, gradient = problem(theta)
        if np.abs(gradient).max() <= tolerance:
            converged, message = True, "the gradient is within the tolerance"
            break
        hessian = problem.hessian(theta)
        hessian[np.diag_indices_from(hessian)] += damping
        if np.linalg.cond(hessian, 1) > _SINGULAR:
            raise ValueError(f"damping: expected more than {damping:g}, since the Hessian is singular; 1e-3 may do")
        theta = theta - np.linalg.solve(hessian, gradient)
        value, gradient = problem(theta)
        if not np.isfinite(value):
            raise ArithmeticError(f"the loss became {value} in iteration {iteration}; more damping may help")
        course.note(value)
        if np.abs(gradient).max() <= tolerance:
            converged, message = True, "the gradient is within the tolerance"
        if (callback is not None and callback(iteration, value)) or converged:
            break
    problem.write_back(theta)
    return course.end("newton", converged, message)


class _Objective:
    """The loss and the penalty on all rows, as a function of the parameters in one float64 vector."""

    def __init__(self, model: Any, loss: Any, x: ArrayLike, y: ArrayLike, regularizer: ElasticNet | None) -> None:
        if not isinstance(model, Sequential) or model.flat_parameters is None:
            raise TypeError(f"model: expected a Sequential that is not inside another one, got {quote(model)}")
        if not callable(getattr(loss, "forward", None)) or not callable(getattr(loss, "backward", None)):
            raise TypeError(f"loss: expected an object with forward and backward, got {quote(loss)}")
        if getattr(loss, "reduction", "mean") == "none":
            raise ValueError("loss: expected reduction 'mean' or 'sum' for training, got 'none'")
        if regularizer is not None and (not isinstance(regularizer, ElasticNet) or regularizer.l1 > 0.0):
            raise ValueError(f"regularizer: expected L2, whose gradient has no jumps, got {quote(regularizer)}")
        for layer in model.walk():
            if isinstance(layer, Dropout) and layer.p > 0.0:
                raise ValueError(f"model: expected one without dropout, whose loss is another at each evaluation, got {layer!r}")
        rows = model.check_input("x", x)
        self._y = loss.check_targets("y", y, len(rows), model.out_features) if hasattr(loss, "check_targets") else np.asarray(y)
        self._original, self._loss, self._regularizer = model, loss, regularizer
        self._model = model.astype(np.float64)
        self._model.train()
        self._x = self._model.gather(rows, np.arange(len(rows)))
        if not np.isfinite(self._x).all():
            raise ValueError("x: expected finite values, got NaN or infinity")
        self._places = _places(self._model)
        self.size = len(self._places)
        self.evaluations = 0
        self._buffers = self._model.flat_buffers.copy()

    def start(self) -> Array:
        return self._model.flat_parameters[self._places]

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The objective and its gradient."""
        self.evaluations += 1
        self._model.flat_parameters[self._places] = theta
        value = float(self._loss.forward(self._model.forward_batch(self._x), self._y))
        self._model.backward(self._loss.backward())
        if self._regularizer is not None:
            value += self._regularizer.add_gradient(self._model, len(self._x))
        self._model.flat_buffers[:] = self._buffers
        return value, self._model.flat_gradients[self._places]

    def times_hessian(self, theta: Array, v: Array) -> Array:
        """H·v by central differences; the step balances what they cut off against rounding."""
        step = np.cbrt(np.finfo(np.float64).eps) * (1.0 + np.linalg.norm(theta)) / max(float(np.linalg.norm(v)), 1e-300)
        difference: Array = (self(theta + step * v)[1] - self(theta - step * v)[1]) / (2.0 * step)
        return difference

    def hessian(self, theta: Array) -> Array:
        """The full matrix, symmetric."""
        columns = np.empty((self.size, self.size))
        steps = np.cbrt(np.finfo(np.float64).eps) * np.maximum(1.0, np.abs(theta))
        moved = theta.copy()
        for j, step in enumerate(steps):
            moved[j] = theta[j] + step
            above = self(moved)[1]
            moved[j] = theta[j] - step
            columns[j] = (above - self(moved)[1]) / (2.0 * step)
            moved[j] = theta[j]
        return 0.5 * (columns + columns.T)

    def write_back(self, theta: Array) -> None:
        """Give the model what was found."""
        model = self._original
        model.flat_parameters[self._places] = theta
        if any(isinstance(layer, BatchNorm1d) for layer in model.walk()):
            update_bn(model, self._x / model.input_scale, len(self._x))


def _places(model: Sequential) -> Array:
    """Where parameters are in the flat buffer; between them are zeros."""
    flat = model.flat_parameters
    pieces = []
    for layer in model.walk():
        for array in layer.parameters.values():
            first = (array.ctypes.data - flat.ctypes.data) // flat.itemsize
            pieces.append(np.arange(first, first + array.size))
    return np.concatenate(pieces)


class _Course:
    """Losses, seconds and evaluations as they come."""

    def __init__(self, problem: _Objective, start: Array) -> None:
        self._problem, self._started = problem, time.perf_counter()
        self.losses: list[float] = []
        self._seconds: list[float] = []
        self._evaluations: list[int] = []
        value, _ = problem(start)
        if not np.isfinite(value):
            raise ValueError(f"model: expected weights with a finite loss to start from, got {value}")
        self.note(value)

    def note(self, loss: float) -> None:
        self.losses.append(loss)
        self._seconds.append(time.perf_counter() - self._started)
        self._evaluations.append(self._problem.evaluations)

    def end(self, method: str, converged: bool, message: str) -> Minimum:
        curves = np.array(self.losses), np.array(self._seconds), np.array(self._evaluations)
        return Minimum(method, converged, message, *curves)


def _refuse_what_does_not_fit(method: str, n: int, matrices: int) -> None:
    needed = 8 * matrices * n * n
    available = _available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"model: expected one whose matrices fit into memory for {method}, got {n:,} parameters: {matrices} matrices of n² "
            f"float64 take {needed / 2**30:,.1f} GiB, and {available / 2**30:,.1f} GiB are free; L-BFGS-B needs none"
        )


def _available_bytes() -> int | None:
    """Memory that may be taken, where the system tells; on Linux with what it only keeps copies of files in."""
    with suppress(OSError, ValueError, IndexError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return None
