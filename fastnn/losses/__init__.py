"""Losses: a value and a gradient for a batch; the arithmetic is `fastnn.functional`'s.

A loss of your own is any object with `forward(prediction, targets)`, which returns a number, and `backward()`, which returns
the gradient with respect to the prediction. What the trainer uses beyond that, where it is there:

    check_targets(name, targets, rows, outputs)     the targets as an array, or an error
    scores(prediction, targets)                     named sums over the rows, e.g. {"accuracy": number of hits}
    probabilities(prediction), labels(prediction)   the link from outputs to probabilities and labels
    divisors(targets, sample_weight)                what the means of losses and of scores are divided by; else the rows, or
                                                    the sum of sample_weight

With weights of rows, `forward` and `scores` are called with `sample_weight=` an array (rows,), and must take it. The mean of a
weighted batch is divided by the sum of the weights.
"""

from .labels import CrossEntropyLoss, NLLLoss
from .pointwise import BCEWithLogitsLoss, HuberLoss, L1Loss, MSELoss, PoissonNLLLoss

__all__ = ["BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "L1Loss", "MSELoss", "NLLLoss", "PoissonNLLLoss"]
