"""What the lowering of layers, losses and rules shares."""

from __future__ import annotations

from .._check import Array

# what an element (for a product a multiply-add) takes on one core, roughly; picks the serial or the parallel build
PRODUCT_NS, BATCHNORM_NS, DROPOUT_NS, ACTIVATION_NS, LOSS_NS, RULE_NS = 1 / 110, 0.3, 0.32, 0.1, 1.5, 0.2
FINITE_NS = 0.03


class NotLowered(Exception):  # noqa: N818 - not an error: the model runs layer by layer
    """A part of the model has no instruction; the message says which."""


def offset(array: Array | None, flat: Array) -> int:
    """Where a view starts in its flat buffer; -1 for none."""
    if array is None:
        return -1
    return (array.ctypes.data - flat.ctypes.data) // flat.itemsize
