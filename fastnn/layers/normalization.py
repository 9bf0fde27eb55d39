"""Normalisation layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from .. import functional as F
from .._check import Array, boolean, integer, number
from .base import Layer

__all__ = ["BatchNorm1d"]


class BatchNorm1d(Layer):
    """Batch normalisation of each feature: y = weight · (x - μ) / √(σ² + eps) + bias.

    In training μ and σ² (biased) are the batch's, and running_mean and running_var move towards them by `momentum`, the
    weight of the new value; momentum=None takes the average over all batches so far. The running variance is the unbiased
    one unless unbiased_running_var=False (Keras). In use the running statistics take their place. affine=False leaves out
    weight and bias (gamma and beta in the literature).

    x: (m, num_features), m >= 2 in training (ValueError otherwise). Source: Ioffe and Szegedy, ICML 2015; conventions as in
    torch.nn.BatchNorm1d.

    >>> BatchNorm1d(1)(np.array([[1.0], [3.0]])).ravel().round(3)
    array([-1.,  1.], dtype=float32)
    """

    min_training_rows = 2
    _forward_state = ("_saved",)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        unbiased_running_var: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(dtype=dtype)
        self.num_features = integer("num_features", num_features, low=1)
        self.eps = number("eps", eps, low=0.0)
        self.momentum = None if momentum is None else number("momentum", momentum, low=0.0, high=1.0)
        self.affine = boolean("affine", affine)
        self.unbiased_running_var = boolean("unbiased_running_var", unbiased_running_var)
        if affine:
            self.add_parameter("weight", np.ones(num_features))
            self.add_parameter("bias", np.zeros(num_features))
        self.add_buffer("running_mean", np.zeros(num_features))
        self.add_buffer("running_var", np.ones(num_features))
        self.add_buffer("num_batches_tracked", 0.0)
        self._saved: tuple[Array, Array, bool] | None = None

    def forward(self, x: Array) -> Array:
        x = self._input(x, self.num_features)
        if self.training and x.shape[0] < 2:
            raise ValueError(f"x: expected at least 2 rows for {self!r} in training, got {x.shape[0]}")
        stats = np.empty((3, self.num_features), self.dtype)
        momentum = self.momentum
        if self.training:
            count = self.buffers["num_batches_tracked"]
            count += 1
            if momentum is None:
                momentum = 1.0 / float(count)
        y = F.batch_norm(
            x,
            self.parameters.get("weight"),
            self.parameters.get("bias"),
            self.running_mean,
            self.running_var,
            self.training,
            momentum or 0.0,
            self.eps,
            unbiased_running_var=self.unbiased_running_var,
            stats=stats,
        )
        self._saved = (x, stats, self.training)
        return y

    def backward(self, dy: Array) -> Array:
        x, stats, training = self._kept("_saved")
        dy = self._gradient(dy, x.shape)
        gradients = self.gradients
        out = (None, gradients.get("weight"), gradients.get("bias"))
        return F.batch_norm_backward(dy, x, self.parameters.get("weight"), stats, training, out=out).dx

    def output_features(self, features: int | None) -> int:
        if features is not None and features != self.num_features:
            raise ValueError(f"{self!r} takes {self.num_features} features, but {features} come in")
        return self.num_features

    def reset_parameters(self, source: object = None, next_layer: Layer | None = None) -> None:
        """Weight 1, bias 0, running statistics 0 and 1."""
        values = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0.0}
        for name, array in (*self.parameters.items(), *self.buffers.items()):
            array[...] = values[name]

    def __repr__(self) -> str:
        parts = [str(self.num_features)]
        if self.eps != 1e-5:
            parts.append(f"eps={self.eps!r}")
        if self.momentum != 0.1:
            parts.append(f"momentum={self.momentum!r}")
        if not self.affine:
            parts.append("affine=False")
        if not self.unbiased_running_var:
            parts.append("unbiased_running_var=False")
        return self._repr(*parts)
