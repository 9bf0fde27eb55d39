"""What every optimiser is: settings, arrays that it is bound to, and state for each of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from .. import functional as F
from .._check import Array, floats, integer, number, quote
from .._memory import aligned_zeros

__all__ = ["Optimizer", "clip_grad_norm_", "clip_grad_value_"]


class Optimizer:
    """Base of the optimisers. A subclass names its state and updates one array.

    `bind(model)` takes any object with `flat_parameters` and `flat_gradients`, or with `parameters` and `gradients` (mappings
    of arrays), e.g. a `Sequential` or a `Layer`; `bind(parameters, gradients)` takes two sequences of arrays of any origin.
    `step()` then updates the parameters in place from the gradients. The settings are plain attributes, which may be changed
    between steps.
    """

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = 0
        self._model: Any = None
        self._arrays: tuple[list[Array], list[Array]] = ([], [])
        self._state: list[dict[str, Array]] = []
        self._sizes: list[int] = []

    def bind(self, parameters: Any, gradients: Sequence[Array] | None = None) -> Self:
        """Set what to update, with fresh state; returns the optimiser. Errors leave an earlier binding as it is."""
        if gradients is None:
            model, arrays = parameters, _arrays_of(parameters)
        else:
            model, arrays = None, (list(parameters), list(gradients))
            _check_arrays(*arrays)
        self._model, self._arrays = model, ([], []) if model is not None else arrays
        self.steps = 0
        self._sizes = [w.size for w in arrays[0]]
        self._state = [{name: self._new_state(name, w) for name in self._state_names()} for w in arrays[0]]
        return self

    @property
    def bound(self) -> bool:
        """Whether `bind` has been called."""
        return bool(self._state)

    def bound_to(self, model: Any) -> bool:
        """Whether `bind` has been called with this very model."""
        return self._model is model

    def state_arrays(self) -> list[Array]:
        """The live state arrays, in a fixed order."""
        return [array for arrays in self._state for array in arrays.values()]

    def check_settings(self) -> None:
        """Refuse impossible settings, also those that were changed since the constructor; names the one."""
        raise NotImplementedError

    def state_array(self, name: str) -> Array | None:
        """The state of that name for a model's flat parameters; None where the settings have no use for it."""
        return self._state[0].get(name) if name in self._state_names() else None

    def step(self, gradient_scale: float = 1.0) -> None:
        """Update all parameters once. gradient_scale multiplies the gradients on the way, e.g. for clipping."""
        if not self.bound:
            raise ValueError(f"step: expected bind(model) before it, got an unbound {type(self).__name__}")
        scale = number("gradient_scale", gradient_scale)
        pairs = list(self._pairs())
        sizes = [w.size for w, _ in pairs]
        if sizes != self._sizes:
            raise ValueError(f"step: expected arrays of the sizes bound to, {self._sizes}, got {sizes}: call bind again")
        for (w, g), state in zip(pairs, self._state, strict=True):
            missing = [name for name in self._state_names() if name not in state]  # of settings changed since bind
            state.update({name: self._new_state(name, w) for name in missing})
            self._update(w.reshape(-1), g.reshape(-1), state, scale, self.steps == 0 or bool(missing))
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Copies of the settings, the number of steps and the state arrays."""
        state = [{name: array.copy() for name, array in arrays.items()} for arrays in self._state]
        return {"settings": self.settings, "steps": self.steps, "state": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take settings, steps and state over from the same rule bound to arrays of the same sizes; else ValueError."""
        if not isinstance(state, dict) or state.keys() != {"settings", "steps", "state"}:
            raise ValueError(f"state: expected a state_dict() with settings, steps and state, got {quote(state)}")
        own = [{name: array.shape for name, array in arrays.items()} for arrays in self._state]
        given = [{name: np.shape(array) for name, array in arrays.items()} for arrays in state["state"]]
        if own != given or state["settings"].keys() != self.settings.keys():
            raise ValueError(f"state: expected settings {list(self.settings)} and arrays {own}, got {given}")
        type(self)(**state["settings"])  # refuses impossible settings
        steps = integer("steps", state["steps"], low=0)
        values = [{name: floats(name, array) for name, array in arrays.items()} for arrays in state["state"]]
        for name, value in state["settings"].items():
            setattr(self, name, value)
        self.steps = steps
        for arrays, new in zip(self._state, values, strict=True):
            for name, array in arrays.items():
                array[...] = new[name]

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, as they are now."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"

    def _pairs(self) -> Iterator[tuple[Array, Array]]:
        # a model's arrays are looked up each time: unpickling and copying give it new ones
        arrays = self._arrays if self._model is None else _arrays_of(self._model)
        return zip(*arrays, strict=True)

    def _state_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _new_state(self, name: str, w: Array) -> Array:
        """The state of that name before the first step, of an array w."""
        return aligned_zeros(w.size, w.dtype)

    def _update(self, w: Array, g: Array, state: dict[str, Array], scale: float, fresh: bool) -> None:
        """Update one flat array in place. fresh: whether the state is still zero."""
        raise NotImplementedError


def clip_grad_norm_(model: Any, max_norm: float) -> float:
    """Scale a model's gradients in place so that their global norm is at most max_norm; returns the norm before.

    The factor is min(1, max_norm / (norm + 1e-6)), as in torch. Source: Pascanu et al., ICML 2013.
    """
    max_norm = number("max_norm", max_norm, low=0.0, open_low=True)
    gradients = _arrays_of(model)[1]
    norm = float(np.sqrt(sum(F.squared_norm(g) for g in gradients)))
    factor = float(np.minimum(1.0, max_norm / (norm + 1e-6)))
    if factor != 1.0:
        with np.errstate(invalid="ignore"):  # a gradient that is not finite stays so, as in torch
            for g in gradients:
                g *= g.dtype.type(factor)
    return norm


def clip_grad_value_(model: Any, clip_value: float) -> None:
    """Cut each element of a model's gradients to [-clip_value, clip_value], in place."""
    clip_value = number("clip_value", clip_value, low=0.0, open_low=True)
    for g in _arrays_of(model)[1]:
        F.clip_values(g, clip_value)


def _arrays_of(model: Any) -> tuple[list[Array], list[Array]]:
    flat = getattr(model, "flat_parameters", None)
    if flat is not None:
        return [flat], [model.flat_gradients]
    layers = list(model.walk()) if callable(getattr(model, "walk", None)) else [model]
    for layer in layers:
        if not isinstance(getattr(layer, "parameters", None), Mapping) or not isinstance(
            getattr(layer, "gradients", None), Mapping
        ):
            raise TypeError(f"model: expected a model or layer with parameters and gradients, got {quote(model)}")
    parameters = [array for layer in layers for array in layer.parameters.values()]
    return parameters, [array for layer in layers for array in layer.gradients.values()]


def _check_arrays(parameters: list[Array], gradients: list[Array]) -> None:
    if not parameters or len(parameters) != len(gradients):
        raise ValueError(
            f"gradients: expected one for each of at least one parameter, got {len(gradients)} for {len(parameters)}"
        )
    for i, (w, g) in enumerate(zip(parameters, gradients, strict=True)):
        for name, array in ((f"parameters[{i}]", w), (f"gradients[{i}]", g)):
            if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
                raise TypeError(f"{name}: expected a float32 or float64 array, got {quote(array)}")
            if not array.flags.c_contiguous:
                raise ValueError(f"{name}: expected a C-contiguous array, got strides {array.strides}")
        if not w.flags.writeable:
            raise ValueError(f"parameters[{i}]: expected a writeable array, got a read-only one")
        if w.shape != g.shape or w.dtype != g.dtype:
            raise ValueError(f"gradients[{i}]: expected shape {w.shape} and dtype {w.dtype}, got {quote(g)}")
