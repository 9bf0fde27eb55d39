"""How the initial weights decide whether a deep net can learn.

Ten layers under zeros, a constant, small, large, Xavier's and He's weights, with tanh, sigmoid and ReLU, and stacks of
1.5 I and 0.5 I. The theory foretells each outcome: with n units, weights of variance s and a function φ of slope φ', the
second moment E[y²] of a layer's output is multiplied by n s E[φ²], that of the gradient by n s E[φ'²], at every layer.
So He's 2/n suits ReLU, which halves E[y²]; Xavier's 1/n suits tanh, of slope 1 at 0; a sigmoid's slope is 1/4 at most and its
gradient dies out with both. Equal weights make units that are copies of one another. Expect "yes" in every line: what
`fnn.diagnostics.signal_report` measures is what the theory says.
"""

import warnings
from functools import partial

import numpy as np
from _common import BLACK, BLUE, BROWN, GOLD, GREEN, GREY, PURPLE, RED, panels, run, save, table

import fastnn as fnn

DEPTH = 10
ACTIVATIONS = {"linear": None, "tanh": fnn.Tanh, "sigmoid": fnn.Sigmoid, "ReLU": fnn.ReLU}
WEIGHTS = {
    "zeros": ("zeros", BLACK),
    "constant 0.01": ("constant", GREY),
    "normal, std 0.01": ("normal", BLUE),
    "normal, std 1": (partial(fnn.init.normal, std=1.0), RED),
    "Xavier": ("xavier_normal", GREEN),
    "He": ("he_normal", GOLD),
    "0.5 I": (lambda shape, seed, dtype: 0.5 * np.eye(*shape, dtype=dtype), PURPLE),
    "1.5 I": (lambda shape, seed, dtype: 1.5 * np.eye(*shape, dtype=dtype), BROWN),
}
COPIES = "all units of a layer are copies"
SMALL = "E[y²] or its gradient shrinks to n·0.0001 a layer or less"
EXPECTED = {  # the verdict, and why
    "linear": {
        "0.5 I": ("vanishing", "E[y²] × 0.5² a layer"),
        "1.5 I": ("exploding", "E[y²] × 1.5² a layer"),
    },
    "tanh": {
        "zeros": ("symmetric", COPIES),
        "constant 0.01": ("symmetric", COPIES),
        "normal, std 0.01": ("vanishing", SMALL),
        "normal, std 1": ("saturated", "inputs of size √n: tanh is flat there"),
        "Xavier": ("healthy", "slope 1 at 0: E[y²] falls like 1/depth only"),
        "He": ("healthy", "E[y²] settles where tanh has bent enough"),
    },
    "sigmoid": {
        "zeros": ("symmetric", COPIES),
        "constant 0.01": ("symmetric", COPIES),
        "normal, std 0.01": ("vanishing", SMALL),
        "normal, std 1": ("saturated", "inputs of size √(n/2): a sigmoid is flat there"),
        "Xavier": ("vanishing", "the gradient's × (1/4)² a layer at best"),
        "He": ("vanishing", "the gradient's × 2 (1/4)² a layer at best"),
    },
    "ReLU": {
        "zeros": ("symmetric", COPIES),
        "constant 0.01": ("symmetric", COPIES),
        "normal, std 0.01": ("vanishing", SMALL),
        "normal, std 1": ("exploding", "E[y²] × n/2 a layer"),
        "Xavier": ("vanishing", "E[y²] × 1/2 a layer"),
        "He": ("healthy", "E[y²] × 1 a layer, though the mean of a ReLU's output is not 0"),
    },
}


def stack(activation, weight_init, width):
    """Ten layers of one width."""
    layers = []
    for _ in range(DEPTH):
        layers.append(fnn.Linear(width, width, weight_init=weight_init))
        if activation is not None:
            layers.append(activation())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "all weights of")  # that zeros and constants do not work is what is shown
        return fnn.Sequential(*layers, seed=0)


def main(short=False, out="out"):
    """Measure, compare with the theory, draw. Returns the reports by activation and weights."""
    width, rows = (64, 128) if short else (256, 512)
    x = np.random.default_rng(0).standard_normal((rows, width))
    reports, lines = {}, []
    for activation, cases in EXPECTED.items():
        for weights, (verdict, reason) in cases.items():
            report = fnn.diagnostics.signal_report(stack(ACTIVATIONS[activation], WEIGHTS[weights][0], width), x)
            reports[activation, weights] = report
            changes = report.forward_change, report.backward_change
            agrees = "yes" if report.verdict == verdict else "NO"
            lines.append((activation, weights, verdict, report.verdict, agrees, *(f"{c:.1e}" for c in changes), reason))
    head = ("activation", "weights", "theory", "signal_report", "agree", "E[y²] last/first", "E[g²] first/last", "why")
    table(head, lines)
    print(f"\n{sum(line[4] == 'yes' for line in lines)} of {len(lines)} verdicts are the theory's")
    print("\nHe's weights and ReLU in full:")
    print(reports["ReLU", "He"])
    draw(reports, out)
    return reports


def draw(reports, out):
    """The second moment after each layer: of the outputs above, of the gradients below."""
    figure, axes = panels(2, len(EXPECTED), 3.9, 3.3, sharex=True)
    labels = {}
    for (activation, weights), report in reports.items():
        column = list(EXPECTED).index(activation)
        kind = ("activation", "output") if activation != "linear" else ("layer", "output")
        layers = [row for row in report.rows if row.kind in kind]
        for line, name in ((0, "second_moment"), (1, "gradient_second_moment")):
            values = np.array([getattr(row, name) for row in layers])
            places = np.arange(1, len(values) + 1)
            shown = np.where(values > 0, values, np.nan)  # zeros have no place on a logarithmic axis
            (drawn,) = axes[line, column].plot(places, shown, color=WEIGHTS[weights][1], marker="o", markersize=3)
            labels[weights] = drawn
    for column, activation in enumerate(EXPECTED):
        axes[0, column].set(title=activation, yscale="log")
        low, high = axes[0, column].get_ylim()
        axes[0, column].set_ylim(min(low, 1e-2), max(high, 1e2))
        axes[1, column].set(xlabel="layer", yscale="log", xticks=range(1, DEPTH + 1))
    axes[0, 0].set_ylabel("second moment of the outputs")
    axes[1, 0].set_ylabel("second moment of the gradients")
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=len(labels), frameon=False)
    save(figure, out, "signal_propagation")


if __name__ == "__main__":
    run(main)
