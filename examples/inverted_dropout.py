"""Inverted against plain dropout: what the outputs' scale is in training and in use.

Both set each input to zero with probability p while training. Plain dropout (Hinton et al., 2012) leaves the others as they
are, so outputs come out smaller by 1 - p, and in use everything must be multiplied by 1 - p. Inverted dropout, fastnn's and
everybody's today, divides by 1 - p in training and leaves the network in use alone: no p in it, nothing to forget. Expect the
means of training and use to agree for both as long as the scaling is there, at 1 for inverted dropout and at 1 - p for plain,
and a gap of 1/(1 - p) where plain dropout's scaling is forgotten. In training every pass has another mask and other outputs,
in use all passes are the same. An output's spread over the passes, relative to its mean, is √(p/(1 - p)) for both.
"""

import numpy as np
from _common import BLUE, GREY, RED, panels, run, save, table

import fastnn as fnn


class PlainDropout(fnn.Layer):
    """x · mask in training, (1 - p) · x in use."""

    keeps_width = True

    def __init__(self, p, *, scaled_in_use=True, seed=0):
        super().__init__()
        self.p, self.scaled_in_use = p, scaled_in_use
        self.generator = np.random.default_rng(seed)

    def forward(self, x):
        if self.training:
            self.mask = (self.generator.random(x.shape) >= self.p).astype(x.dtype)
        else:
            self.mask = np.full_like(x, 1 - self.p if self.scaled_in_use else 1)
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


KINDS = {
    "inverted": lambda p: fnn.Dropout(p, seed=0),
    "plain": PlainDropout,
    "plain, scaling forgotten": lambda p: PlainDropout(p, scaled_in_use=False),
}


def main(short=False, out="out"):
    """Pass activations of mean 1 through each kind. Returns the means, and how far two passes are apart, by kind and p."""
    shape, passes = ((64, 100), 20) if short else ((512, 400), 100)
    x = np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)
    results, lines = {}, []
    for kind, make in KINDS.items():
        for p in (0.1, 0.3, 0.5, 0.7, 0.9):
            layer = make(p)
            outputs = [layer.forward(x) for _ in range(passes)]
            layer.eval()
            used, again = layer.forward(x), layer.forward(x)
            mean, variance = np.mean(outputs), np.var(outputs, axis=0, ddof=1)  # of each element, pass after pass
            results[kind, p] = {
                "training": float(mean),
                "use": float(used.mean()),
                "spread": float(np.sqrt((variance / x**2).mean()) / mean),
                "passes differ": not np.array_equal(outputs[0], outputs[1]),
                "uses differ": not np.array_equal(used, again),
            }
            r = results[kind, p]
            differ = ("yes" if r["passes differ"] else "no", "yes" if r["uses differ"] else "no")
            lines.append((kind, p, r["training"], r["use"], r["use"] / r["training"], r["spread"], *differ))
    head = ("dropout", "p", "mean in training", "mean in use", "use / training", "spread", "passes differ", "uses differ")
    table(head, lines)
    draw(results, x, out)
    return results


def draw(results, x, out):
    """Means against p, and one row of activations in four passes."""
    figure, axes = panels(1, 4, 3.7, 3.5, width_ratios=(1, 1, 1, 1.25))
    ps = sorted({p for _, p in results})
    for one, kind in zip(axes[0], KINDS, strict=False):
        for stage, color, style, size in (("training", BLUE, "o-", 11), ("use", RED, "s--", 5)):
            one.plot(ps, [results[kind, p][stage] for p in ps], style, color=color, markersize=size, label=f"in {stage}")
        one.set(title=kind, xlabel="p", ylim=(0, 1.25), ylabel="mean of the outputs" if kind == "inverted" else "")
        one.legend(frameon=False, loc="lower left")
    layer, last = fnn.Dropout(0.5, seed=0), axes[0, 3]
    rows = [layer.forward(x[:1, :24])[0] for _ in range(4)]
    layer.eval()
    rows += [layer.forward(x[:1, :24])[0] for _ in range(2)]
    image = last.imshow(rows, cmap="Greys", vmin=0, aspect="auto")
    last.grid(visible=False)
    last.axhline(3.5, color=GREY)
    last.set_yticks(range(6), [*(f"training {k}" for k in range(1, 5)), "use 1", "use 2"])
    last.set(title="inverted, p = 0.5: pass after pass", xlabel="unit")
    figure.colorbar(image, ax=last, label="output")
    save(figure, out, "inverted_dropout")


if __name__ == "__main__":
    run(main)
