"""docs/bench-steps.png and docs/bench-roofline.png, drawn from a machine's results."""

import math

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .tables import best_jax
from .timing import times
from .workloads import WORKLOADS

# Okabe and Ito's colours, which the colour-blind can tell apart
_COLORS = {
    "NumPy": "#999999", "torch": "#E69F00", "torch fused": "#D55E00", "torch.compile": "#CC79A7", "JAX": "#009E73",
    "scikit-learn": "#56B4E9", "fastnn": "#0072B2",
}  # fmt: skip
_ORDER = ("NumPy", "scikit-learn", "torch", "torch fused", "torch.compile", "JAX")
_INK, _FAINT = "#222222", "#bbbbbb"
_STYLE = {
    "font.size": 10, "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.edgecolor": _FAINT, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 160, "savefig.bbox": "tight",
}  # fmt: skip


def draw(results, folder):
    """Draw what the results have; returns the names of the files."""
    sections = {name: section["found"] for name, section in results["sections"].items()}
    threads = results["sections"]["floor"]["note"]["threads"]
    drawn = []
    with plt.rc_context(_STYLE):
        if "steps" in sections:
            _steps(sections["steps"], _caption(results)).savefig(folder / "bench-steps.png")
            drawn.append("bench-steps.png")
        if "kernels" in sections:
            figure = _roofline(
                sections["floor"][str(threads)], sections["kernels"], sections.get("products"), threads, _caption(results)
            )
            figure.savefig(folder / "bench-roofline.png")
            drawn.append("bench-roofline.png")
        plt.close("all")
    return drawn


def _caption(results):
    machine = results["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores"


def _steps(steps, caption):
    """Bars from 1, fastnn's time: upwards where a contender takes longer."""
    names = [name for name in WORKLOADS if name in steps]
    columns = {name: best_jax(steps[name]["times"]) for name in names}
    figure, axes = plt.subplots(figsize=(10, 4.4))
    axes.set_yscale("log")
    seen, place, ticks, values = {}, 0.0, [], []
    for name in names:
        present = [contender for contender in _ORDER if contender in columns[name]]
        ticks.append(place + (len(present) - 1) / 2)
        for contender in present:
            ratio = columns[name][contender]["ratio"]
            value = ratio["median"]
            bar = axes.bar(place, value - 1, bottom=1, width=0.86, color=_COLORS[contender])
            seen.setdefault(contender, bar)
            axes.plot([place, place], [ratio["low"], ratio["high"]], color=_INK, linewidth=1)
            above = value >= 1
            edge = max(ratio["high"], value) if above else min(ratio["low"], value)
            axes.annotate(
                times(value).removesuffix("×"), (place, edge), (0, 3 if above else -3), textcoords="offset points", ha="center",
                va="bottom" if above else "top", fontsize=8,
            )  # fmt: skip
            values += [ratio["low"], ratio["high"]]
            place += 1
        place += 1
    axes.axhline(1, color=_COLORS["fastnn"], linewidth=2.5)
    axes.annotate(
        "fastnn", (place - 0.9, 1), (2, 0), textcoords="offset points", color=_COLORS["fastnn"], va="center", weight="bold"
    )
    low, high = min(0.8, *values) / 1.25, max(1.25, *values) * 1.25
    axes.set_ylim(low, high)
    axes.set_xlim(-0.9, place - 0.9)
    labels = [n for n in (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 50) if low <= n <= high]
    axes.yaxis.set_major_locator(FixedLocator(labels))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.set_xticks(ticks, [f"{name}\n{_duration(steps[name]['times']['fastnn']['median'])}" for name in names])
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_ylabel("time of a training step over fastnn's")
    axes.set_title(
        f"Training steps: above the line fastnn is faster   ({caption}; below each name fastnn's step)", loc="left", fontsize=10.5
    )
    shown = [name for name in _ORDER if name in seen]
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}
    axes.legend([seen[name] for name in shown], shown, frameon=False, ncols=len(shown), **place)
    return figure


def _roofline(floor, kernels, products, threads, caption):
    """Floating-point operations a second over operations a byte, under the two roofs that were measured."""
    triad, peak = floor["bandwidth"]["2R1W"]["median"] / 1e9, floor["peak"]["float32"]["median"] / 1e9
    figure, axes = plt.subplots(figsize=(10, 5.6))
    points = [
        (
            row["operations"] * row["elements"] / (ours["bytes_per_second"] * ours["median"]),
            ours,
            row["name"],
            row["operations"] * row["elements"],
        )
        for row in kernels
        if row["operations"] and (ours := row.get("fastnn, all threads"))
    ]
    points = [(intensity, operations / ours["median"] / 1e9, name) for intensity, ours, name, operations in points]
    axes.scatter(
        [x for x, _, _ in points],
        [y for _, y, _ in points],
        color=_COLORS["fastnn"],
        s=30,
        zorder=3,
        label="kernels, out of cache",
    )
    shown = [row for row in (products or {"rows": []})["rows"] if row["dtype"] == "float32"]
    for operation, marker in (("forward", "^"), ("backward", "v")):
        rows = [
            (_intensity(row), row["times"]["fastnn"]["flops_per_second"] / 1e9) for row in shown if row["operation"] == operation
        ]
        if rows:
            axes.scatter(
                *zip(*rows, strict=True),
                marker=marker,
                color=_COLORS["torch fused"],
                s=36,
                zorder=3,
                label=f"products, {operation}",
            )
    everything = points + [(_intensity(row), row["times"]["fastnn"]["flops_per_second"] / 1e9, "") for row in shown]
    left, right = min(x for x, *_ in everything) / 1.6, max(2 * peak / triad, *(x for x, *_ in everything)) * 1.6
    ridge = peak / triad
    axes.plot([left, ridge, right], [left * triad, peak, peak], color=_INK, linewidth=1.8, zorder=2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    bottom, top = min(y for _, y, _ in everything) / 1.8, peak * 1.9
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    figure.canvas.draw()  # the axes' size settles the slope of the roof
    first, last = (axes.transData.transform((x, x * triad)) for x in (left, ridge))
    angle = math.degrees(math.atan2(last[1] - first[1], last[0] - first[0]))
    middle = ridge / 2.2
    roof = [(x, x * triad) for x in (left * (ridge / left) ** (i / 60) for i in range(61))]
    along = {"rotation": angle, "rotation_mode": "anchor", "ha": "center", "textcoords": "offset points"}
    axes.annotate(f"triad, {triad:.0f} GB/s", (middle, middle * triad), (0, 7), **along)
    axes.annotate(
        f"multiply-adds, {peak:.0f} GFLOP/s", (math.sqrt(ridge * right), peak), (0, 5), textcoords="offset points", ha="center"
    )
    _label(axes, points, [*everything[len(points) :], *roof])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel("floating-point operations a byte")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(
        f"fastnn's kernels under the roofs measured in the same run   ({caption}, {threads} threads, float32)",
        loc="left",
        fontsize=10.5,
    )
    axes.legend(frameon=False, loc="lower right")
    return figure


def _label(axes, points, others):
    """Names beside their points, or where that is taken, in the nearest free place around, with a thin line to it."""
    renderer = axes.figure.canvas.get_renderer()
    pixels = [axes.transData.transform(point[:2]) for point in (*points, *others)]
    taken = [(x - 8, y - 8, x + 8, y + 8) for x, y in pixels]
    line = {"arrowstyle": "-", "color": _FAINT, "linewidth": 0.7, "shrinkA": 1, "shrinkB": 3}
    around = [
        (radius * math.cos(turn), radius * math.sin(turn))
        for radius in range(14, 200, 6)
        for turn in (math.radians(degrees) for degrees in (0, -20, 20, -40, -60, -90, 180, 160, 200, 140, 120))
    ]
    inside = axes.get_window_extent(renderer)
    for x, y, name in sorted(points, reverse=True):
        for dx, dy in ((6, 0), *around):
            text = axes.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", fontsize=8, ha="left" if dx >= 0 else "right", va="center",
                arrowprops=line if math.hypot(dx, dy) > 6 else None,
            )  # fmt: skip
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # an annotation's own takes its line in
            within = inside.x0 < box.x0 and box.x1 < inside.x1 and inside.y0 < box.y0 and box.y1 < inside.y1
            if within and not any(box.x0 < x1 and x0 < box.x1 and box.y0 < y1 and y0 < box.y1 for x0, y0, x1, y1 in taken):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                break
            text.remove()


def _intensity(row):
    """Operations a byte of a product, each operand and result moved once."""
    m, n, k = row["shape"]
    products = 1 if row["operation"] == "forward" else 2
    size = 4 if row["dtype"] == "float32" else 8
    moved = (m * n + n * k + m * k) if products == 1 else 2 * (m * n + n * k) + m * k
    return 2 * m * n * k * products / (size * moved)


def _duration(value):
    return f"{value * 1e6:.0f} µs" if value < 1e-3 else f"{value * 1e3:.2g} ms"
