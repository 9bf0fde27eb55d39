"""Makes the README's summary, docs/benchmarks.md and the pictures from results: `python -m bench.report [results.json]`.

What was measured in a hurry (`--quick`), with the kernels' tests not run first (`--unchecked`) or beside other programs never
gets into the README: `write` for the checkout refuses it, and a draft of it says so in its first line.
"""

import json
import re
import sys
from pathlib import Path

from . import tables
from .machine import ROOT
from .targets import target_rows

README = "README.md"
PAGE = "docs/benchmarks.md"
QUIET = 0.1  # share of the processors that other programs may take


def write(results, into=ROOT):
    """Write page and pictures into a folder, and where that is the checkout the README's part too."""
    doubts = doubtful(results)
    if doubts and into == ROOT:
        raise SystemExit(f"the README takes whole, checked runs alone; this one has {'; '.join(doubts)}")
    from . import pictures

    (into / "docs").mkdir(parents=True, exist_ok=True)
    drawn = pictures.draw(results, into / "docs")
    (into / PAGE).write_text(page(results, drawn))
    if into == ROOT:
        path = ROOT / README
        path.write_text(replace_parts(path.read_text(), summary_parts(results, drawn)))
    print("\n".join(f"  {line}" for line in summary_parts(results, drawn)["targets"].splitlines()))
    print(f"  written: {into / PAGE}")


def doubtful(results):
    """Reasons why figures may not be shown as the project's."""
    notes = {name: section["note"] for name, section in results["sections"].items()}
    hurried = [name for name, note in notes.items() if note["quick"]]
    unchecked = [name for name, note in notes.items() if not note["checked"]]
    disturbed = [name for name, note in notes.items() if note["busy"] > QUIET]
    reasons = {
        "measured in a hurry": hurried,
        "measured without running the tests first": unchecked,
        "measured beside other programs": disturbed,
    }
    return [f"{', '.join(names)} {reason}" for reason, names in reasons.items() if names]


def found(results, name):
    """What a section found; None where it was not measured, or all of it was left out."""
    section = results["sections"].get(name)
    if section is None or (isinstance(section["found"], dict) and "all" in section["found"].get("left_out", {})):
        return None
    return section["found"]


def replace_parts(text, parts):
    """The text with what stands between <!-- bench: begin NAME --> and <!-- bench: end NAME --> replaced, for each part."""
    for name, part in parts.items():
        begin, end = f"<!-- bench: begin {name} -->", f"<!-- bench: end {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise ValueError(f"{README}: expected {begin} ... {end} once")
        text = pattern.sub(lambda _, whole=f"{begin}\n{part}\n{end}": whole, text)
    return text


def summary_parts(results, drawn):
    """The README's parts by name."""
    picture = "\n\n![Time of a training step against fastnn's](docs/bench-steps.png)" if "bench-steps.png" in drawn else ""
    steps = found(results, "steps")
    return {
        "steps": (provenance(results) + "\n\n" + tables.step_times(steps) + picture)
        if steps
        else "Not measured yet: run `make bench`.",
        "targets": targets_table(results),
    }


def page(results, drawn):
    """docs/benchmarks.md."""
    doubts = doubtful(results)
    parts = ["# Benchmarks"]
    if doubts:
        parts.append(f"**A draft: {'; '.join(doubts)}. The figures mean little.**")
    parts += [
        "Made from `bench/results/` by `make bench`; [bench/README.md](../bench/README.md) says what was measured and how.",
        provenance(results),
    ]
    parts += ["## Targets", targets_table(results)]
    for name, title, table in _SECTIONS:
        section = found(results, name)
        if section is not None:
            parts += [f"## {title}", table(section)]
            parts += [line for line in (left_out(section), _stamp(results, name)) if line]
        picture = _PICTURES.get(name)
        if section is not None and picture in drawn:
            parts.append(f"![{title}]({picture})")
    return "\n\n".join(parts) + "\n"


def provenance(results):
    """One sentence: the machine and the versions."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    notes = [section["note"] for section in results["sections"].values()]
    commits = sorted({note["commit"] + (" with changes" if note["dirty"] else "") for note in notes})
    dates = sorted({note["date"][:10] for note in notes})
    date = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    threads = max(note["threads"] for note in notes)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {threads} threads for every contender; "
        f"Python {machine['python']}, {versions}; commit {', '.join(commits)}, {date}. "
        "Times are medians of interleaved rounds, ratios a contender's time over fastnn's."
    )


def left_out(section):
    """'Left out: ...', or ''."""
    if not isinstance(section, dict):
        return ""
    reasons = dict(section.get("left_out", {}))
    for row in section.values():
        if isinstance(row, dict):
            reasons |= row.get("left_out", {})
    return f"Left out: {'; '.join(f'{name}: {reason}' for name, reason in reasons.items())}." if reasons else ""


def _stamp(results, name):
    note = results["sections"][name]["note"]
    return f"*{note['date']}, commit {note['commit']}{' with changes' if note['dirty'] else ''}.*"


def targets_table(results):
    rows = [[row.what, row.must, row.aim, row.measured, row.verdict] for row in target_rows(results, found)]
    return tables.table(["target", "must", "aim", "measured", "met"], rows, numbers=5)


_SECTIONS = (
    ("steps", "Training steps", tables.steps),
    ("predict", "Prediction", tables.predict),
    ("products", "Products", tables.products),
    ("groups", "Batchnorm, ReLU and dropout", tables.groups),
    ("kernels", "Kernels", tables.kernels),
    ("startup", "Starting up", tables.startup),
    ("fashion", "Fashion-MNIST", tables.fashion),
    ("scaling", "Scaling", tables.scaling),
)
_PICTURES = {"steps": "bench-steps.png", "kernels": "bench-roofline.png"}


def main():
    files = [Path(name) for name in sys.argv[1:]] or sorted(
        (ROOT / "bench/results").glob("*.json"), key=lambda p: p.stat().st_mtime
    )
    if not files:
        raise SystemExit("there are no results in bench/results: run `make bench`")
    write(json.loads(files[-1].read_text()))


if __name__ == "__main__":
    main()
