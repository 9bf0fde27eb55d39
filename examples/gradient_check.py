"""A gradient check finds a planted error, and says in which layer and parameter it is.

A layer of one's own, y = x · sigmoid(β x) with a trained β for each feature (Swish), has its gradients written by hand. The
first version is right. The second forgets a factor in the gradient of β, an error with which the net still learns, only
worse: nothing but a check shows it. Expect "excellent", below 1e-7, for every array of the first model, and for the second
"wrong" for 2.beta alone, with the number that is furthest off.
"""

import numpy as np
from _common import BLUE, GREY, RED, panels, run, save

import fastnn as fnn


class Swish(fnn.Layer):
    """y = x · sigmoid(βx). Source: Ramachandran et al., arXiv:1710.05941."""

    def __init__(self, features):
        super().__init__()
        self.add_parameter("beta", np.linspace(0.5, 2.0, features))

    def forward(self, x):
        self.x, self.gate = x, 1 / (1 + np.exp(-self.beta * x))
        return x * self.gate

    def backward(self, dy):
        slope = self.gate * (1 - self.gate)
        self.gradients["beta"][...] = (dy * self.x**2 * slope).sum(axis=0)
        return dy * (self.gate + self.beta * self.x * slope)


class WrongSwish(Swish):
    """With x where x² should be: forgot that βx has x inside, too."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.gradients["beta"][...] = (dy * self.x * self.gate * (1 - self.gate)).sum(axis=0)
        return dx


def main(short=False, out="out"):
    """Check both models with batch statistics, dropout and a penalty live. Returns the reports."""
    rows, width = (8, 6) if short else (16, 20)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((rows, 5)), rng.integers(0, 3, rows)
    reports = {}
    for name, layer in (("right", Swish(width)), ("planted error", WrongSwish(width))):
        model = fnn.Sequential(
            fnn.Linear(5, width), fnn.BatchNorm1d(width), layer, fnn.Dropout(0.2), fnn.Linear(width, 3), seed=0
        )
        report = fnn.gradcheck(model, x, y, loss=fnn.CrossEntropyLoss(), regularizer=fnn.L2(0.01))
        reports[name] = report
        print(f"{name}:\n{report}")
        wrong = [entry for entry in report.entries if entry.verdict == "wrong"]
        for entry in wrong:
            place, parameter = entry.name.split(".")
            print(f"-> layer {place}, {entry.layer}: the gradient of {parameter} is wrong")
        print(f"verdict: {report.verdict}\n")
    draw(reports, out)
    return reports


def draw(reports, out):
    """The difference of each array, and the limits of the verdicts."""
    figure, ((axes,),) = panels(1, 1, 8.5, 4.0)
    for k, ((name, report), color) in enumerate(zip(reports.items(), (BLUE, RED), strict=True)):
        places = np.arange(len(report.entries)) + 0.4 * (k - 0.5)
        axes.bar(places, [entry.difference for entry in report.entries], 0.4, bottom=1e-13, color=color, label=name)
    for limit, verdict in ((1e-7, "excellent"), (1e-5, "good"), (1e-3, "suspicious")):
        axes.axhline(limit, color=GREY, linewidth=1, linestyle="--")
        axes.text(len(report.entries) - 0.45, limit / 1.3, verdict, ha="left", va="top", fontsize=9, color=GREY)
    axes.text(len(report.entries) - 0.45, 1e-1, "wrong", ha="left", va="top", fontsize=9, color=GREY)
    axes.set(yscale="log", ylim=(1e-13, 3), ylabel="relative difference", title="analytic gradients against differences")
    axes.set_xlim(-0.6, len(report.entries) + 0.4)
    axes.set_xticks(range(len(report.entries)), [entry.name for entry in report.entries])
    axes.legend(frameon=False, loc="upper left")
    save(figure, out, "gradient_check")


if __name__ == "__main__":
    run(main)
