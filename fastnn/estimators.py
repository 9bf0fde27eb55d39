"""Estimators of scikit-learn's kind over `Trainer`: for pipelines, cross-validation and hyperparameter search.

    from fastnn.estimators import MLPClassifier
    search = GridSearchCV(make_pipeline(StandardScaler(), MLPClassifier(max_iter=50)), {"mlpclassifier__dropout": [0.0, 0.3]})

The arguments are those of `sklearn.neural_network`'s estimators where both have them, with dropout, batch normalisation and the
choice of any optimiser besides; `model_` and `trainer_` are what stands behind. They need scikit-learn: pip install
"fastnn[sklearn]".
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError('fastnn.estimators needs scikit-learn 1.6: pip install "fastnn[sklearn]"') from error

from ._check import Array, boolean, choice, integer, number, quote
from .callbacks import EarlyStopping
from .layers import BatchNorm1d, Dropout, Layer, Linear, ReLU, Sigmoid, Tanh
from .losses import CrossEntropyLoss, MSELoss
from .optim import Adam, Optimizer
from .regularizers import L2
from .sequential import Sequential
from .trainer import Trainer

__all__ = ["MLPClassifier", "MLPRegressor"]

_ACTIVATIONS = {"relu": ReLU, "tanh": Tanh, "logistic": Sigmoid}


class _MLP(BaseEstimator):  # type: ignore[misc]
    """What the two share."""

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (100,),
        activation: str = "relu",
        *,
        optimizer: Optimizer | None = None,
        alpha: float = 1e-4,
        dropout: float = 0.0,
        batch_norm: bool = False,
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        dtype: str = "float32",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.alpha = alpha
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.dtype = dtype

    def _train(self, x: Array, y: Array, outputs: int, loss: Any, sample_weight: ArrayLike | None) -> Self:
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31 - 1))
        sizes = self.hidden_layer_sizes
        hidden = [integer("hidden_layer_sizes", n, low=1) for n in (sizes if np.iterable(sizes) else (sizes,))]
        choice("activation", self.activation, tuple(_ACTIVATIONS))
        dropout = number("dropout", self.dropout, low=0.0, high=1.0, open_high=True)
        layers: list[Layer] = []
        width = x.shape[1]
        for units in hidden:
            layers.append(Linear(width, units))
            if boolean("batch_norm", self.batch_norm):
                layers.append(BatchNorm1d(units))
            layers.append(_ACTIVATIONS[self.activation]())
            if dropout:
                layers.append(Dropout(dropout))
            width = units
        model = Sequential(*layers, Linear(width, outputs), seed=seed, dtype=self.dtype)
        rule = Adam(lr=self.learning_rate_init) if self.optimizer is None else self._fresh(self.optimizer)
        alpha = number("alpha", self.alpha, low=0.0)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, x, ensure_non_negative=True)
        validation, monitor = None, "loss"
        if boolean("early_stopping", self.early_stopping):
            held = max(1, round(len(x) * number("validation_fraction", self.validation_fraction, low=0.0, high=1.0)))
            if held >= len(x):
                raise ValueError(f"validation_fraction: expected rows that are left to train on, got {held} of {len(x)} held out")
            kept, out = train_test_split(
                np.arange(len(x)), test_size=held, random_state=random, stratify=_strata(y, held) if y.ndim == 1 else None
            )
            validation, monitor = (x[out], y[out], *([] if weights is None else [weights[out]])), "val_loss"
            x, y, weights = x[kept], y[kept], None if weights is None else weights[kept]
        stopping = EarlyStopping(
            monitor=monitor, min_delta=number("tol", self.tol, low=0.0),
            patience=integer("n_iter_no_change", self.n_iter_no_change, low=1), restore_best_weights=validation is not None,
        )  # fmt: skip
        # scikit-learn divides the penalty by the weights of a batch, ours by its rows; where no weight counts, fit refuses
        share = 1.0 if weights is None or not weights.any() else len(x) / float(weights.sum())
        trainer = Trainer(model, loss, rule, regularizer=L2(alpha * share, scale="rows") if alpha else None)
        history = trainer.fit(
            x, y, integer("max_iter", self.max_iter, low=1), self._rows(len(x)), sample_weight=weights,
            validation_data=validation, callbacks=[stopping], shuffle=self.shuffle, progress=False,
        )  # fmt: skip
        self.model_, self.trainer_ = model, trainer
        self.loss_curve_ = [float(value) for value in history["loss"]]
        self.loss_ = self.loss_curve_[-1]
        self.n_iter_ = len(history)
        return self

    def _rows(self, rows: int) -> int:
        return min(200, rows) if self.batch_size == "auto" else min(rows, integer("batch_size", self.batch_size, low=1))

    def _fresh(self, optimizer: Any) -> Optimizer:
        """An optimiser of the same settings, since the one given is the estimator's argument and stays as it is."""
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer: expected an optimiser such as Adam(), got {quote(optimizer)}")
        return type(optimizer)(**optimizer.settings)

    def _outputs(self, x: ArrayLike) -> Array:
        check_is_fitted(self, "model_")
        rows = validate_data(self, x, reset=False, dtype=[np.float64, np.float32])
        outputs: Array = self.model_.predict(rows)
        return outputs


def _strata(labels: Array, held: int) -> Array | None:
    """The labels, in whose shares rows are held out; None where there are too few rows for that."""
    counts = np.unique(labels, return_counts=True)[1]
    return labels if counts.min() >= 2 and len(counts) <= min(held, len(labels) - held) else None


class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc]
    """A multilayer perceptron for classes, trained with cross-entropy.

    hidden_layer_sizes: units of each hidden layer. activation: 'relu', 'tanh' or 'logistic'. optimizer: an optimiser of fastnn
    with its settings; None is Adam(learning_rate_init). alpha: of L2, α/2 · Σ w² over the batch's rows or their weights, as
    in scikit-learn. batch_size: 'auto' is 200 or all rows. max_iter: epochs at most; it ends earlier when the loss (with
    early_stopping that of validation_fraction of the rows, stratified) has not fallen by tol in n_iter_no_change epochs.
    dtype: of the network.

    After fit: classes_, n_iter_, loss_curve_, model_ (a Sequential) and trainer_.

    >>> x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array(["no", "yes", "yes", "no"])
    >>> MLPClassifier((16,), max_iter=500, learning_rate_init=0.01, random_state=0).fit(x, y).predict(x).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X (rows, features) with labels y (rows,) of any kind."""
        x, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(labels, return_inverse=True)
        return self._train(x, numbers, len(self.classes_), CrossEntropyLoss(), sample_weight)

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities (rows, classes), in the order of classes_."""
        outputs = self._outputs(X)
        shares = np.asarray(self.trainer_.loss.probabilities(outputs), np.float64)
        result: Array = shares / shares.sum(axis=1, keepdims=True)
        return result

    def predict(self, X: ArrayLike) -> Array:
        """The label of each row."""
        outputs = self._outputs(X)  # first: it says where fit is missing
        result: Array = self.classes_[outputs.argmax(axis=1)]
        return result


class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc]
    """A multilayer perceptron for numbers, trained with the squared error; the arguments are `MLPClassifier`'s.

    y may have several columns. Targets are standardised for training, and put back in predictions; the loss that alpha is weighed
    against is the mean squared error of the standardised ones.

    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> MLPRegressor((32,), max_iter=300, learning_rate_init=0.01, random_state=0).fit(x, x[:, 0] ** 2).score(
    ...     x, x[:, 0] ** 2
    ... ) > 0.98
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows X (rows, features) with numbers y (rows,) or (rows, targets)."""
        x, targets = validate_data(self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True)
        self._single = targets.ndim == 1
        columns = np.asarray(targets, np.float64).reshape(len(x), -1)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, x, ensure_non_negative=True)
        self._mean = np.average(columns, axis=0, weights=weights)
        spread = np.sqrt(np.average((columns - self._mean) ** 2, axis=0, weights=weights))
        self._scale = np.where(spread > 0.0, spread, 1.0)
        return self._train(x, (columns - self._mean) / self._scale, columns.shape[1], MSELoss(), weights)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: ArrayLike) -> Array:
        """Numbers (rows,) or (rows, targets), as y was."""
        result: Array = self._outputs(X) * self._scale + self._mean
        return result[:, 0] if self._single else result
