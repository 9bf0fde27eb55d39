"""Data augmentation: other versions of the rows of a batch, at random, in training alone.

    trainer = Trainer(model, loss, optimizer, augmentation=[RandomHorizontalFlip(), Mixup(0.2)], image_shape=(28, 28))

augments every batch between gathering and the first layer, after conversion to the network's dtype and `input_scale`. By hand:

    aug = Compose([RandomCrop(2), GaussianNoise(0.1)])
    x_new = aug(x, seed=0, step=7, image_shape=(28, 28))

The arrays that are given are never written to. Images are (N, H, W), (N, C, H, W), or rows of H·W or C·H·W features with
`image_shape` (H, W) or (C, H, W). What comes out is a function of the settings, of `seed`, `step`, the place in the list and the
row's place in the batch, on any number of threads. In training the seed is the model's, and `step` counts training batches.

Values are what the network sees: standard deviations, limits and the zeros that fill what is erased or moved in are of inputs
after scaling, so that 0 is black for pixels from 0 to 1, and the mean for standardised ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, as_array, boolean, floats, integer, labels, nonempty, number, quote, reals
from .functional import augmentation as F
from .random import AUGMENTATION, stream_number

__all__ = [
    "Augmentation",
    "Brightness",
    "Compose",
    "Contrast",
    "CutMix",
    "Cutout",
    "GaussianBlur",
    "GaussianNoise",
    "Mixup",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Saturation",
]

_INFINITY = math.inf


class Augmentation:
    """What all of them have in common. A subclass of your own has `augment`, and trains layer by layer."""

    needs_images = True
    mixes = False
    channels: tuple[int, ...] = ()  # how many it works on, any if empty

    def augment(self, x: Array, key: F.Key) -> Array:
        """A new batch like x, which is not written to: (m, c, h, w), or (m, n) where needs_images is False.

        key: the seed, step and stream that draws are to be a function of.
        """
        raise NotImplementedError

    def __call__(self, x: ArrayLike, *, seed: int = 0, step: int = 0, image_shape: tuple[int, ...] | None = None) -> Array:
        """The augmented batch, a new array of x's shape; float32 unless x is float64.

        x: (N, H, W), (N, C, H, W), or (N, features) with image_shape. seed: in [0, 2⁶⁴). step: in [0, 2³²).
        """
        result: Array = Compose([self])(x, seed=seed, step=step, image_shape=image_shape)
        return result


class _Mixing(Augmentation):
    """Mixes rows with one another, and their targets."""

    mixes = True

    def __init__(self, alpha: float, by_row: bool) -> None:
        self.alpha = number("alpha", alpha, low=0.0, open_low=True)
        self.by_row = boolean("by_row", by_row)

    def mix(self, x: Array, key: F.Key) -> tuple[Array, F.Mixing]:
        """A new batch like x, and how its targets are to be mixed."""
        raise NotImplementedError

    def augment(self, x: Array, key: F.Key) -> Array:
        return self.mix(x, key)[0]

    def __call__(  # type: ignore[override]  # targets come along
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        num_classes: int | None = None,
        seed: int = 0,
        step: int = 0,
        image_shape: tuple[int, ...] | None = None,
    ) -> tuple[Array, Array]:
        """The augmented batch and its mixed targets; both are new arrays.

        x: as for other augmentations. y: (m,) integers, labels, whose mixture is rows of probabilities (m, num_classes); or
        (m, k) or (m,) floats. num_classes: the largest label and one if it is None.
        """
        options: dict[str, Any] = {"seed": seed, "step": step, "image_shape": image_shape, "num_classes": num_classes}
        result: tuple[Array, Array] = Compose([self])(x, y, **options)
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.alpha!r}{', by_row=True' if self.by_row else ''})"


class Mixup(_Mixing):
    """Rows x_i and x_j of a batch, and their targets, become λ x_i + (1 - λ) x_j, with λ ~ Beta(alpha, alpha).

    alpha: above 0. by_row: a λ for each row instead of one for the batch, which is what the paper's code draws. j is a random
    permutation of the rows. Works on any rows, not on images alone. The cross-entropy against mixed probabilities is
    λ · L(y_i) + (1 - λ) · L(y_j). Source: Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.

    >>> x, y = Mixup(1.0)(np.eye(2), np.array([0, 1]), seed=4)
    >>> bool(np.allclose(x, y))
    True
    """

    needs_images = False

    def __init__(self, alpha: float = 0.2, *, by_row: bool = False) -> None:
        super().__init__(alpha, by_row)

    def mix(self, x: Array, key: F.Key) -> tuple[Array, F.Mixing]:
        return F.mixup_rows(x, key, self.alpha, self.by_row)


class CutMix(_Mixing):
    """A rectangle of x_j in x_i, and their targets mixed by the share of pixels, λ ~ Beta(alpha, alpha) before it is cut off.

    alpha: above 0. by_row: a rectangle for each row instead of one for the batch, which is what the paper's code draws.
    Source: Yun et al., "CutMix", ICCV 2019.
    """

    def __init__(self, alpha: float = 1.0, *, by_row: bool = False) -> None:
        super().__init__(alpha, by_row)

    def mix(self, x: Array, key: F.Key) -> tuple[Array, F.Mixing]:
        return F.cutmix_images(x, key, self.alpha, self.by_row)


class _Flip(Augmentation):
    vertical = False

    def __init__(self, p: float = 0.5) -> None:
        self.p = number("p", p, low=0.0, high=1.0)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.flip_images(x, key, self.p, self.vertical)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p!r})"


class RandomHorizontalFlip(_Flip):
    """Left and right change with probability p.

    >>> RandomHorizontalFlip(1.0)([[[1, 2, 3]]])
    array([[[3., 2., 1.]]], dtype=float32)
    """


class RandomVerticalFlip(_Flip):
    """Top and bottom change with probability p."""

    vertical = True


class RandomCrop(Augmentation):
    """A random crop, of the image's own size, of the image in a border of `padding` zeros."""

    def __init__(self, padding: int) -> None:
        self.padding = integer("padding", padding, low=0, high=2**20)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.crop_images(x, key, self.padding)

    def __repr__(self) -> str:
        return f"RandomCrop({self.padding})"


class RandomAffine(Augmentation):
    """Rotation, translation and scaling about the centre, bilinear, with 0 from outside.

    degrees: angles are uniform in [-degrees, degrees], or in a pair (from, to), clockwise. translate: (a, b), at most a widths to
    either side and b heights up or down; not rounded to whole pixels. scale: (from, to). As torchvision's, whose interpolation is
    'nearest' unless one asks.
    """

    def __init__(
        self,
        degrees: float | tuple[float, float],
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
    ) -> None:
        if not isinstance(degrees, (tuple, list)):
            degrees = number("degrees", degrees, low=0.0)
            degrees = (-degrees, degrees)
        self.degrees = _interval("degrees", degrees, -_INFINITY)
        self.translate = (0.0, 0.0) if translate is None else _pair("translate", translate, 0.0, 1.0)
        self.scale = (1.0, 1.0) if scale is None else _interval("scale", scale, 0.0, open_low=True)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.affine_images(x, key, *self.degrees, *self.translate, *self.scale)

    def __repr__(self) -> str:
        return f"RandomAffine({self.degrees}, translate={self.translate}, scale={self.scale})"


class Cutout(Augmentation):
    """A square of zeros, or a rectangle, around a random pixel, with probability p; what would lie outside is cut off.

    size: pixels of a side, or (height, width). Source: DeVries and Taylor, arXiv:1708.04552.
    """

    def __init__(self, size: int | tuple[int, int], p: float = 1.0) -> None:
        sides = size if isinstance(size, (tuple, list)) else (size, size)
        if len(sides) != 2:
            raise ValueError(f"size: expected an integer or a pair (height, width), got {quote(size)}")
        self.size = integer("size", sides[0], low=1, high=2**30), integer("size", sides[1], low=1, high=2**30)
        self.p = number("p", p, low=0.0, high=1.0)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.cutout_images(x, key, self.p, *self.size)

    def __repr__(self) -> str:
        return f"Cutout({self.size}, p={self.p!r})"


class RandomErasing(Augmentation):
    """A rectangle of zeros inside the image, with probability p.

    scale: (from, to), its share of the area. ratio: (from, to), height by width, uniform in its logarithm. One that does not fit
    is left out, where torchvision tries ten times. Source: Zhong et al., "Random erasing data augmentation", AAAI 2020.
    """

    def __init__(
        self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3)
    ) -> None:
        self.p = number("p", p, low=0.0, high=1.0)
        self.scale = _interval("scale", scale, 0.0, 1.0)
        self.ratio = _interval("ratio", ratio, 0.0, open_low=True)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.erase_images(x, key, self.p, *self.scale, *self.ratio)

    def __repr__(self) -> str:
        return f"RandomErasing({self.p!r}, scale={self.scale}, ratio={self.ratio})"


class _Colour(Augmentation):
    """A factor for each image, uniform in [max(0, 1 - amount), 1 + amount] or in a pair (from, to)."""

    def __init__(self, amount: float | tuple[float, float], *, limits: tuple[float, float] | None = None) -> None:
        if not isinstance(amount, (tuple, list)):
            amount = number("amount", amount, low=0.0)
            amount = (max(0.0, 1.0 - amount), 1.0 + amount)
        self.amount = _interval("amount", amount, 0.0)
        self.limits = None if limits is None else _interval("limits", limits, -_INFINITY)

    @property
    def settings(self) -> tuple[float, float, float, float]:
        """Factors from and to, values from and to."""
        low, high = self.limits or (-_INFINITY, _INFINITY)
        return *self.amount, low, high

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.amount}{'' if self.limits is None else f', limits={self.limits}'})"


class Brightness(_Colour):
    """f x, with a factor f for each image.

    amount: f is uniform in [max(0, 1 - amount), 1 + amount], or in a pair (from, to). limits: (0, 1), say, cuts values there, as
    torchvision does; None cuts nothing, since inputs may be standardised. Source: torchvision's ColorJitter.
    """

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.brightness_images(x, key, *self.settings)


class Contrast(_Colour):
    """f x + (1 - f) · the image's mean grey. Images have 1 channel or 3; amount and limits as in `Brightness`."""

    channels = (1, 3)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.contrast_images(x, key, *self.settings)


class Saturation(_Colour):
    """f x + (1 - f) · grey, with grey = 0.2989 R + 0.587 G + 0.114 B. Images have 3 channels; the rest as in `Brightness`."""

    channels = (3,)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.saturation_images(x, key, *self.settings)


class GaussianNoise(Augmentation):
    """x + std · z, z standard normal, an element its own. Works on any rows, not on images alone."""

    needs_images = False

    def __init__(self, std: float) -> None:
        self.std = number("std", std, low=0.0)

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.gaussian_noise(x, key, self.std)

    def __repr__(self) -> str:
        return f"GaussianNoise({self.std!r})"


class GaussianBlur(Augmentation):
    """Convolution with a Gaussian, mirrored at the edges.

    sigma: in pixels, or a pair (from, to), of which each image draws its own. The kernel ends at 3 sigma, rounded up.
    """

    def __init__(self, sigma: float | tuple[float, float]) -> None:
        if not isinstance(sigma, (tuple, list)):
            sigma = (sigma, sigma)
        self.sigma = _interval("sigma", sigma, 0.0, 1000.0, open_low=True)

    @property
    def radius(self) -> int:
        """Pixels of the kernel to either side of its middle."""
        return math.ceil(3.0 * self.sigma[1])

    def augment(self, x: Array, key: F.Key) -> Array:
        return F.blur_images(x, key, *self.sigma, self.radius)

    def __repr__(self) -> str:
        return f"GaussianBlur({self.sigma})"


class Compose:
    """Augmentations one after another, each with draws of its own.

    >>> augment = Compose([RandomHorizontalFlip(), RandomCrop(1)])
    >>> augment(np.ones((2, 3, 3)), seed=1).shape
    (2, 3, 3)
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        if isinstance(augmentations, Augmentation):
            augmentations = [augmentations]
        if not isinstance(augmentations, (list, tuple)):
            raise TypeError(f"augmentations: expected a list of augmentations, got {quote(augmentations)}")
        for i, one in enumerate(augmentations):
            if not isinstance(one, Augmentation):
                raise TypeError(f"augmentations[{i}]: expected an augmentation such as Mixup(), got {quote(one)}")
        self.augmentations = list(augmentations)

    @property
    def mixes(self) -> bool:
        """Whether rows, and targets, are mixed."""
        return any(one.mixes for one in self.augmentations)

    def check_images(self, features: tuple[int, ...], image_shape: tuple[int, ...] | None) -> tuple[int, int, int]:
        """Channels, height and width of rows of this shape; ValueError where an augmentation cannot have them.

        Rows that need not be images count as one line of pixels.
        """
        needing = next((one for one in self.augmentations if one.needs_images), None)
        if needing is None:
            return 1, 1, math.prod(features)
        if image_shape is None:
            if len(features) not in (2, 3):
                raise ValueError(
                    f"image_shape: expected (H, W) or (C, H, W), which {needing!r} needs for rows of shape {features}, got None"
                )
            image_shape = features
        elif math.prod(image_shape) != math.prod(features):
            raise ValueError(
                f"image_shape: expected as many pixels as x has features, {math.prod(features)}, got {tuple(image_shape)}"
            )
        shape = (1, *image_shape) if len(image_shape) == 2 else image_shape
        for one in self.augmentations:
            if one.channels and shape[0] not in one.channels:
                known = " or ".join(map(str, one.channels))
                raise ValueError(f"image_shape: expected {known} channels for {one!r}, got {shape[0]}")
        return shape[0], shape[1], shape[2]

    def __call__(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        seed: int = 0,
        step: int = 0,
        image_shape: tuple[int, ...] | None = None,
        num_classes: int | None = None,
    ) -> Any:
        """The augmented batch; with y a pair (x, y), where mixing ones have mixed y too. All returned arrays are new.

        x, seed, step, image_shape: as for one augmentation. y, num_classes: as for `Mixup`; needed where one mixes.
        """
        array = nonempty("x", floats("x", x))
        if array.ndim < 2:
            raise ValueError(f"x: expected rows or images, (N, features), (N, H, W) or (N, C, H, W), got shape {array.shape}")
        images = self.check_images(array.shape[1:], check_image_shape(image_shape))
        seed, step = integer("seed", seed, low=0, high=2**64 - 1), integer("step", step, low=0, high=2**32 - 1)
        targets = None
        if self.mixes:
            if y is None:
                raise ValueError("y: expected the targets, which are mixed as x is, got None")
            targets = _rows(_checked(as_array("y", y), len(array), num_classes), num_classes, array.dtype)
        result, mixed = self.apply(array, targets, seed, step, images)
        result = result.copy() if np.may_share_memory(result, array) else result  # an empty list
        if y is None:
            return result
        return result, np.array(y) if mixed is None else _as_given(mixed, np.asarray(y))

    def apply(self, x: Array, y: Array | None, seed: int, step: int, images: tuple[int, int, int]) -> tuple[Array, Array | None]:
        """The same on floats x (m, ...) and targets (m, k), which nothing checks; what does not change comes back itself."""
        shape = x.shape
        for index, one in enumerate(self.augmentations):
            key = F.Key(seed, step, stream_number(AUGMENTATION, index))
            x = x.reshape(len(x), *images) if one.needs_images else x.reshape(len(x), -1)
            if isinstance(one, _Mixing):
                x, mixing = one.mix(x, key)
                if y is not None:
                    y = F.mix_targets(y, mixing)
            else:
                x = one.augment(x, key)
        return x.reshape(shape), y

    def __repr__(self) -> str:
        return f"Compose({self.augmentations!r})"


class Augmenter:
    """The augmentations of a training, and the step that they are at."""

    def __init__(self, augmentations: Any, image_shape: tuple[int, ...] | None, seed: int) -> None:
        try:
            self.compose = augmentations if isinstance(augmentations, Compose) else Compose(augmentations)
        except TypeError as error:
            raise TypeError(str(error).replace("augmentations", "augmentation", 1)) from None
        self.image_shape, self.seed, self.step = check_image_shape(image_shape), seed, 0
        self.images, self.classes = (1, 1, 1), 0

    def prepare(self, features: tuple[int, ...], targets: Array, outputs: int | None, loss: Any) -> None:
        """Get ready for rows of this shape and such targets; ValueError where they do not fit.

        targets: as the loss checked them. outputs: of the model, None where it does not know.
        """
        self.images = self.compose.check_images(features, self.image_shape)
        self.classes = 0
        if not self.compose.mixes or not is_labels(targets):
            return
        if outputs is None:
            raise ValueError("augmentation: expected targets that can be mixed, one-hot rows, for a model of unknown outputs")
        check = getattr(loss, "check_targets", None)
        if check is not None:
            try:
                check("y", np.full((1, outputs), 1.0 / outputs, np.float32), 1, outputs)
            except (TypeError, ValueError) as error:
                self._refuse(loss, error)
        self.classes = outputs

    def _refuse(self, loss: Any, error: Exception) -> NoReturn:
        one = next(one for one in self.compose.augmentations if one.mixes)
        raise ValueError(
            f"augmentation: expected a loss that takes probabilities, which {one!r} makes of labels, got {loss!r}"
        ) from error

    def __call__(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The next batch, augmented."""
        if not self.compose.augmentations:
            return x, y
        step, self.step = self.step, (self.step + 1) % 2**32
        if not self.compose.mixes:
            return self.compose.apply(x, None, self.seed, step, self.images)[0], y
        x, mixed = self.compose.apply(x, _rows(y, self.classes, x.dtype), self.seed, step, self.images)
        return x, _as_given(mixed, y)


def is_labels(targets: Array) -> bool:
    """Whether targets are numbers of classes, which mixing makes rows of probabilities of."""
    return targets.ndim == 1 and targets.dtype.kind in "iu"


def check_image_shape(image_shape: Any) -> tuple[int, ...] | None:
    """(H, W), (C, H, W) or None; else an error."""
    if image_shape is None:
        return None
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) not in (2, 3):
        raise ValueError(f"image_shape: expected (H, W) or (C, H, W), got {quote(image_shape)}")
    return tuple(integer("image_shape", size, low=1) for size in image_shape)


def _checked(y: Array, rows: int, classes: int | None) -> Array:
    if y.ndim not in (1, 2) or len(y) != rows:
        raise ValueError(f"y: expected labels ({rows},) or targets ({rows}, k), a row for each of x, got shape {y.shape}")
    if is_labels(y):
        return labels("y", y, rows, np.iinfo(np.int64).max if classes is None else integer("num_classes", classes, low=1))
    return reals("y", y)


def _rows(y: Array, classes: int | None, dtype: np.dtype[Any]) -> Array:
    """Targets as rows of floats, which can be mixed."""
    if is_labels(y):
        return F.one_hot(y, int(y.max()) + 1 if classes is None else classes, dtype)
    return np.ascontiguousarray(y[:, np.newaxis] if y.ndim == 1 else y, dtype)


def _as_given(mixed: Any, y: Array) -> Any:
    """Mixed rows as numbers where the targets y were numbers."""
    return mixed[:, 0] if y.ndim == 1 and not is_labels(y) else mixed


def _pair(name: str, value: Any, low: float, high: float = _INFINITY, open_low: bool = False) -> tuple[float, float]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name}: expected a pair of numbers, got {quote(value)}")
    return number(name, value[0], low=low, high=high, open_low=open_low), number(
        name, value[1], low=low, high=high, open_low=open_low
    )


def _interval(name: str, value: Any, low: float, high: float = _INFINITY, open_low: bool = False) -> tuple[float, float]:
    """A pair (from, to) in that order."""
    begin, end = _pair(name, value, low, high, open_low)
    if begin > end:
        raise ValueError(f"{name}: expected a pair (from, to) in that order, got {quote(value)}")
    return begin, end
