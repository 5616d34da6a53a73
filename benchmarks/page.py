"""`python -m benchmarks.page` writes docs/benchmarks.md from the raw results beside it."""

import json
from pathlib import Path

from benchmarks.timing import Row

DOCS = Path(__file__).parents[1] / "docs"
TEMPLATE = Path(__file__).with_name("page.md")


def load(name):
    return json.loads((DOCS / name).read_text())


def sentence(machine):
    cores = f"{machine['cores']} cores, {machine['threads']} threads"
    bf16 = ", ".join(machine["bf16_instructions"]) or "none"
    return (
        f"Measured on: {machine['processor']}, {cores}, {machine['cpu_capability']}, bfloat16 "
        f"instructions: {bf16}; PyTorch {machine['torch']}; load of the machine before: "
        f"{machine['load_before']:.2f}."
    )


def form(row: Row):
    sign = "x" if row.goal is not None and row.goal.kind == "speed-up" else ""
    goals = ("", "")
    if row.goal is not None:
        goals = tuple(f"{value:.3g}{sign}" for value in (row.goal.least, row.goal.reach))
    costs = [f"{cost:.4g} {row.unit}" for cost in (row.ours_cost, row.against_cost)]
    cells = (
        *(row.benchmark, row.ours, costs[0], row.against, costs[1]),
        *(f"{row.measured:.3f}{sign}", *goals, row.verdict, row.note),
    )
    return f"| {' | '.join(cells)} |"


def table(rows):
    head = "benchmark | ours | cost | against | cost | ratio | at least | reach for | | note"
    return "\n".join([f"\n| {head} |", "|---" * 10 + "|", *map(form, rows)]) + "\n"


def shares(profile):
    lines = []
    for case, columns in profile["shares"].items():
        lines += [f"| {case} | ours | SpikingJelly fp32 |", "|---|---|---|"]
        ours, theirs = columns.values()
        kinds = dict.fromkeys([*ours, *theirs])
        lines += [f"| {k} | {ours.get(k, 0):.1%} | {theirs.get(k, 0):.1%} |" for k in kinds]
        lines.append("")
    return "\n".join(lines)


def bounds(rows, profile):
    """Return how fast our step could be if it were convolutions alone."""
    lines = ["| step | against | measured | bound |", "|---|---|---|---|"]
    for row in rows:
        case = row.benchmark.removeprefix("training step, ")
        if case not in profile["shares"] or row.goal is None:
            continue
        ours = next(iter(profile["shares"][case].values()))
        convolutions = sum(share for kind, share in ours.items() if kind.startswith("convolution"))
        bound = row.measured / convolutions
        lines.append(f"| {case} | {row.against} | {row.measured:.2f}x | {bound:.2f}x |")
    return "\n".join(lines) + "\n"


def precision(found):
    lines = []
    for net in ("dense", "pruned"):
        total = found["totals"][net]
        gap = f"{100 * total['mean']:+.2f} ± {100 * total['std']:.2f}"
        lines.append(f"| {net} | {100 * total['fp32']:.2f} | {100 * total['bf16']:.2f} | {gap} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the text of the page."""
    found, profile, rounding = (load(f"{n}.json") for n in ("benchmarks", "profile", "precision"))
    rows = [Row.from_dict(row) for row in found["rows"]]
    return TEMPLATE.read_text().format(
        machine=sentence(found["machine"]),
        table=table(rows),
        shares=shares(profile),
        bounds=bounds(rows, profile),
        precision=precision(rounding),
        samples=rounding["config"]["limit"],
        n=len(rounding["rows"]),
        threads=rounding["machine"]["threads"],
    )


if __name__ == "__main__":
    (DOCS / "benchmarks.md").write_text(page())
