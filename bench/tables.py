"""The tables of the report, in Markdown: one function a section, from what that section found."""

from .targets import fastest_peer
from .timing import geometric_mean, seconds, times
from .workloads import WORKLOADS


def table(head, rows, numbers=1):
    """A Markdown table whose columns from number `numbers` on stand to the right."""
    line = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    rule = line(["---" if i < numbers else "--:" for i in range(len(head))])
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def best_jax(times):
    """The times with JAX's two forms as one, 'JAX', the faster."""
    forms = [times[name] for name in ("JAX loop", "JAX scan") if name in times]
    rest = {name: row for name, row in times.items() if name not in ("JAX loop", "JAX scan")}
    return rest | ({"JAX": min(forms, key=lambda row: row["median"])} if forms else {})


def step_times(steps):
    """Microseconds a step, the ratio to the fastest peer that counts, and to the floor."""
    names = [name for name in WORKLOADS if name in steps]
    columns = {name: best_jax(steps[name]["times"]) for name in names}
    contenders = dict.fromkeys(contender for column in columns.values() for contender in column)
    rows = []
    for contender in contenders:
        cells = [_microseconds(columns[name][contender]["median"]) if contender in columns[name] else "–" for name in names]
        rows.append([f"**{contender}**" if contender == "fastnn" else contender, *cells])
    rows.append(["floor", *(_microseconds(steps[name]["floor"]["seconds"]) for name in names)])
    peers = [fastest_peer(steps[name], name) for name in names]
    rows.append(["fastest peer / fastnn", *(f"{times(ratio)} ({peer})" if peer else "–" for peer, ratio in peers)])
    return table(["µs a step", *names], rows)


def steps(steps):
    """The table, then the spread, first calls and overheads."""
    rows = []
    for name in WORKLOADS:
        for contender, row in steps.get(name, {"times": {}})["times"].items():
            spread = f"{_microseconds(row['low'])} to {_microseconds(row['high'])}"
            ratio, first = times(row["ratio"]["median"]), seconds(row["first"])
            rows.append([name, contender, _microseconds(row["median"]), spread, ratio, first])
    overheads = [
        [name, seconds(row["overheads"]["fit"]), seconds(row["overheads"]["epoch"]), str(row["steps_a_pass"]), row["road"]]
        for name, row in steps.items()
    ]
    losses = [
        [name, contender, *(f"{value:.6f}" for value in values), *["–"] * (3 - len(values))]
        for name, row in steps.items()
        for contender, values in row["losses"].items()
    ]
    floors = [
        [
            name,
            _microseconds(row["floor"]["products"]),
            _microseconds(row["floor"]["adam"]),
            times(row["times"]["fastnn"]["median"] / row["floor"]["seconds"]),
        ]
        for name, row in steps.items()
    ]
    return "\n\n".join([
        step_times(steps),
        "The floor: products at the measured peak of multiply-adds, and Adam's bytes at what its mix of streams reaches over "
        "arrays of that size.",
        table(["", "products, µs", "Adam, µs", "fastnn / floor"], floors),
        "Each contender, with the quartiles of its rounds, and its first step in a new process, with what it compiles or loads:",
        table(["", "contender", "µs a step", "quartiles", "ratio", "first step"], rows, numbers=2),
        "What fastnn's `fit` costs a call and an epoch beside the steps (spread over the steps in the figures above):",
        table(["", "a call", "an epoch", "steps an epoch", "road"], overheads),
        "Losses before the first update, after one and after ten, with dropout 0, from the same weights on the same batches:",
        table(["", "contender", "0", "1", "10"], losses, numbers=2),
    ])  # fmt: skip


def kernels(rows):
    cells = []
    for row in rows:
        many = row.get("fastnn, all threads")
        ours, numpy = row["fastnn"], row["NumPy"]
        cells.append([
            row["name"], row["size"], seconds(ours["median"]), seconds(numpy["median"]), times(row["ratio"]),
            f"{ours['bytes_per_second'] / 1e9:.0f}", _percent(ours.get("share")),
            f"{many['bytes_per_second'] / 1e9:.0f}" if many else "–", _percent(many.get("share")) if many else "–",
        ])  # fmt: skip
    means = []
    for size in ("in cache", "out of cache"):
        ratios = [row["ratio"] for row in rows if row["size"] == size]
        if ratios:
            means.append(f"{size} {times(geometric_mean(ratios))}")
    return "\n\n".join([
        "float32, fastnn and NumPy on one thread, and out of cache fastnn on all. GB/s count what the kernel's arguments need, "
        "without the reads that stores to lines out of cache cause; the share is of what loops of the same mix reach.",
        table(["", "", "fastnn", "NumPy", "ratio", "GB/s", "share", "GB/s, all", "share, all"], cells, numbers=2),
        f"Geometric mean of the ratios: {', '.join(means)}.",
    ])  # fmt: skip


def groups(section):
    rows = [
        [f"{row['rows']} × {row['columns']}, p = {row['p']}", seconds(row["times"]["fastnn"]["median"]),
         *(f"{seconds(row['times']['torch'][key])}" for key in ("median",) if "torch" in row["times"]),
         *(times(row["times"]["torch"]["ratio"]["median"]) for _ in (0,) if "torch" in row["times"])]
        for row in section["rows"]
    ]  # fmt: skip
    return table(["batchnorm + ReLU + dropout, forward + backward", "fastnn", "torch", "ratio"][: len(rows[0])], rows)


def products(section):
    peers = [name for name in ("NumPy", "torch") if any(name in row["times"] for row in section["rows"])]
    rows = []
    for row in section["rows"]:
        ours = row["times"]["fastnn"]
        ratios = [times(row["times"][peer]["ratio"]["median"]) if peer in row["times"] else "–" for peer in peers]
        shape = " × ".join(map(str, row["shape"]))
        rows.append(
            [shape, row["dtype"], row["operation"], f"{ours['flops_per_second'] / 1e9:.0f}", _percent(ours["share"]), *ratios]
        )
    means = []
    for dtype in ("float32", "float64"):
        for peer in peers:
            ratios = [r["times"][peer]["ratio"]["median"] for r in section["rows"] if r["dtype"] == dtype and peer in r["times"]]
            means += [f"{dtype} against {peer} {times(geometric_mean(ratios))}"] if ratios else []
    return "\n\n".join([
        "Rows × inputs × outputs. Forward is product, bias and ReLU; backward dz·Wᵀ and xᵀ·dz. NumPy is OpenBLAS, torch MKL.",
        table(["", "dtype", "", "GFLOP/s", "of the peak", *(f"{peer} / fastnn" for peer in peers)], rows, numbers=3),
        f"Geometric means: {', '.join(means)}.",
    ])  # fmt: skip


def predict(section):
    rows = []
    for case, row in section["cases"].items():
        for contender, timed in row["times"].items():
            rate = f"{row['rows'] / timed['median']:,.0f}"
            rows.append([case, contender, seconds(timed["median"]), rate, times(timed["ratio"]["median"])])
    return table(["", "contender", "a call", "rows a second", "ratio"], rows, numbers=2)


def startup(section):
    rows = [
        [name, seconds(row["median"]), f"{seconds(row['low'])} to {seconds(row['high'])}", str(row["rounds"])]
        for name, row in section.items()
    ]
    return table(["in a fresh process", "median", "quartiles", "processes"], rows)


def fashion(section):
    rows = []
    for name, row in section["contenders"].items():
        reached = row["to_target"]
        rows.append([
            name, seconds(row["epoch"]["median"]), seconds(reached["median"]) if reached else "not reached",
            f"{row['epochs_to_target']:.0f}" if reached else "–", f"{row['final']['median']:.2%}",
        ])  # fmt: skip
    decayed, seeds = section["decayed"], section["contenders"]["fastnn"]["final"]["rounds"]
    return "\n\n".join([
        table(["", "an epoch", f"to {section['target']:.0%}", "epochs", f"accuracy after {section['epochs']}"], rows),
        f"Medians of {seeds} seeds; evaluation is not in the times. With a rate that follows half a cosine to 0, fastnn reaches "
        f"{decayed['best']:.2%} in {decayed['epochs']} epochs.",
    ])  # fmt: skip


def scaling(section):
    first, *more = map(str, section["counts"])
    rows = [
        [work, name, seconds(row[first]), *(times(row[first] / row[count]) for count in more)]
        for work, contenders in section["seconds"].items()
        for name, row in contenders.items()
    ]
    return table(["", "contender", "one thread", *(f"{count} threads" for count in more)], rows, numbers=2)


def _microseconds(value):
    micro = value * 1e6
    return f"{micro:,.0f}" if micro >= 100 else f"{micro:.1f}"


def _percent(share):
    return "–" if share is None else f"{share:.0%}"
