"""The project's targets, each held against what was measured."""

from dataclasses import dataclass

from .timing import geometric_mean, seconds, times

COUNTED = ("torch", "torch fused", "torch.compile", "JAX loop", "JAX scan")
STEP_BY_STEP = ("torch", "torch fused", "torch.compile", "JAX loop")
SMALL = ("tiny", "tabular")  # here NumPy counts too
SAME_WORK = ("tiny",)  # here scikit-learn counts too


@dataclass(frozen=True)
class Row:
    what: str
    must: str
    aim: str
    measured: str = "not measured"
    verdict: str = "–"


def fastest_peer(step, workload, counted=COUNTED):
    """(name, its time over fastnn's) of the fastest peer that counts on a workload; (None, None) if there is none."""
    counted += (("NumPy",) if workload in SMALL else ()) + (("scikit-learn",) if workload in SAME_WORK else ())
    present = {name: row for name, row in step["times"].items() if name in counted}
    if not present:
        return None, None
    name = min(present, key=lambda peer: present[peer]["median"])
    return name.removesuffix(" loop").removesuffix(" scan"), present[name]["ratio"]["median"]


def target_rows(results, found):
    """All targets. found(results, section) is what a section measured, or None."""
    get = lambda name: found(results, name)  # noqa: E731
    return [
        *_steps(get("steps")), *_predict(get("predict")), *_products(get("products")), _group(get("groups")),
        *_kernels(get("kernels")), *_startup(get("startup")), *_fashion(get("fashion")),
    ]  # fmt: skip


def _at_least(what, value, must, aim, show=times, note=""):
    return _judge(what, value, must, aim, show, note, lambda value, bound: value >= bound)


def _at_most(what, value, must, aim, show=times, note=""):
    return _judge(what, value, must, aim, show, note, lambda value, bound: value <= bound)


def _judge(what, value, must, aim, show, note, good):
    texts = ["–" if bound is None else show(bound) for bound in (must, aim)]
    if value is None:
        return Row(what, *texts)
    met = [bound is not None and good(value, bound) for bound in (aim, must)]
    return Row(what, *texts, show(value) + note, "aim" if met[0] else "yes" if met[1] else "no")


def _steps(steps):
    def fastest(counted):
        found = {} if steps is None else {name: fastest_peer(row, name, counted) for name, row in steps.items()}
        return {name: (peer, ratio) for name, (peer, ratio) in found.items() if peer}

    def mean(ratios):
        return geometric_mean([ratio for _, ratio in ratios.values()]) if len(ratios) == 5 else None

    ratios, what = fastest(COUNTED), "step, geometric mean of the five workloads, against the fastest peer on each"
    rows = [
        _at_least(what, mean(ratios), 2.5, 4.0),
        _at_least("the same, with JAX called for each step (jit, donated buffers)", mean(fastest(STEP_BY_STEP)), 2.5, 4.0),
    ]
    for name, must, aim in (
        ("tiny", 1.3, 2.0),
        ("tabular", 1.3, 2.0),
        ("mnist", 1.3, 2.0),
        ("deep", 1.3, 2.0),
        ("wide", 1.0, 1.2),
    ):
        peer, ratio = ratios.get(name, (None, None))
        rows.append(_at_least(f"step, {name}, against the fastest peer", ratio, must, aim, note=f" {peer}"))
    for name, must, aim in (("mnist", 1.6, 1.25), ("wide", 1.3, 1.1)):
        step = (steps or {}).get(name)
        share = step and step["times"]["fastnn"]["median"] / step["floor"]["seconds"]
        rows.append(_at_most(f"step, {name}, over the floor", share, must, aim))
    return rows


def _predict(section):
    cases = section["cases"] if section else {}
    one = cases.get("one row, tabular", {}).get("times", {}).get("fastnn", {}).get("median")
    many = cases.get("4096 rows, mnist", {}).get("times", {})
    peers = {name: row["ratio"]["median"] for name, row in many.items() if name in ("torch", "JAX")}
    peer = min(peers, key=peers.get, default=None)
    return [
        _at_most("`predict` of one row, tabular", one, 20e-6, 8e-6, seconds),
        _at_least("`predict` in batches of 4096, mnist, against the fastest peer", peers.get(peer), 1.2, 2.0, note=f" {peer}"),
    ]


def _products(section):
    rows = []
    for peer, must, aim in (("torch", 1.0, 1.15), ("NumPy", 1.2, 1.5)):
        ratios = [
            row["times"][peer]["ratio"]["median"]
            for row in (section["rows"] if section else [])
            if row["dtype"] == "float32" and peer in row["times"]
        ]
        library = {"torch": "torch (MKL)", "NumPy": "NumPy (OpenBLAS)"}[peer]
        mean = geometric_mean(ratios) if ratios else None
        rows.append(
            _at_least(f"linear + bias + ReLU, and its backward products, geometric mean, against {library}", mean, must, aim)
        )
    return rows


def _group(section):
    ratios = [row["times"]["torch"]["ratio"]["median"] for row in (section["rows"] if section else []) if "torch" in row["times"]]
    mean = geometric_mean(ratios) if ratios else None
    return _at_least("batchnorm + ReLU + dropout, forward + backward, geometric mean, against torch", mean, 8.0, 15.0)


def _kernels(rows):
    bound = [
        (row["fastnn, all threads"]["share"], row["name"])
        for row in rows or []
        if row["memory_bound"] and row["size"] == "out of cache"
    ]
    ratios = [(row["ratio"], row["name"]) for row in rows or [] if row["size"] == "in cache"]
    least, worst = min(bound, default=(None, "")), min(ratios, default=(None, ""))
    mean = geometric_mean([ratio for ratio, _ in ratios]) if ratios else None
    return [
        _at_least(
            "memory-bound kernels out of cache, all threads: least share of the bandwidth", least[0], 0.8, 0.95, "{:.0%}".format,
            f" ({least[1]})",
        ),
        _at_least(
            "kernels against NumPy, in cache, one thread: geometric mean", mean, 3.0, 8.0,
            note=f"; least {times(worst[0])} ({worst[1]})" if ratios else "",
        ),
    ]  # fmt: skip


def _startup(section):
    get = lambda name: section[name]["median"] if section else None  # noqa: E731
    return [
        _at_most("import beyond numba and numpy", get("import"), 0.15, 0.05, seconds),
        _at_most("first training step in a new process, kernels cached", get("first step, cached"), 0.7, 0.3, seconds),
        _at_most("first training step ever", get("first step ever"), 25.0, 10.0, seconds),
    ]


def _fashion(section):
    reached = {
        name: row["to_target"] and row["to_target"]["median"]
        for name, row in (section or {"contenders": {}})["contenders"].items()
    }
    ours, theirs = reached.get("fastnn"), reached.get("torch")
    best = section["decayed"]["best"] if section else None
    return [
        _at_least("Fashion-MNIST: torch's time to 89% over fastnn's", theirs / ours if ours and theirs else None, 2.0, None),
        _at_least("Fashion-MNIST: best test accuracy", best, None, 0.91, "{:.2%}".format),
    ]
