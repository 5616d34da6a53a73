"""An analysis in sentences and flat rows, as page and terminal show it."""

from typing import Any

from spikeprune.lab.analysis.net_measures import KINDS
from spikeprune.lab.report.number_words import is_number, percent
from spikeprune.lab.report.run_record import Row


def titles(found: Row) -> list[str]:
    """Return what the runs are called: `run`, or `A: folder` and `B: folder`."""
    names = [run["folder"].rstrip("/").rsplit("/", 1)[-1] for run in found["runs"]]
    return (
        names if len(names) == 1 else [f"{k}: {name}" for k, name in zip("AB", names, strict=True)]
    )


def headline(found: Row) -> list[str]:
    """Return the main results in sentences, one or two a run."""
    sentences = []
    for title, run in zip(titles(found), found["runs"], strict=True):
        nets = run.get("nets") or {}
        net = "pruned" if "pruned" in nets else "dense"
        if net in nets:
            sentences.append(f"{title}, {net} net: {_entropy_sentence(nets[net]['entropy'])}")
        if run["regrowth"]:
            sentences.append(f"{title}: {regrowth_sentence(run['regrowth'])}")
    pair = found["pair"] or {}
    if "overlap" in pair:
        whole = pair["overlap"]["all"]
        sentences.append(
            f"The masks of A and B overlap by {percent(whole['overlap'], 1)}; chance alone gives "
            f"{percent(whole['by_chance'], 1)}."
        )
    return sentences


def regrowth_sentence(found: Row) -> str:
    """Say which share of the regrown the first half of the layers got."""
    half, layers = found["first_half"], found["layers"]
    return (
        f"{percent(half['share_of_regrown'], 0)} of the regrown went to the first half of the "
        f"layers ({half['layers']} of {len(layers)}), which holds "
        f"{percent(half['share_of_all'], 0)} of the {found['unit']}."
    )


def _entropy_sentence(found: Row) -> str:
    means, total = found["mean"]["position"], len(found["layers"])

    def of(key: str) -> str:
        layers = means[key]["layers"]
        return rho(means[key]["mean"]) + (
            f" ({layers} of {total} layers)" if layers < total else ""
        )

    return (
        "over the channels of a layer, spike entropy (by position) has a mean rank correlation "
        f"of {of('criticality')} with criticality and of {of('rate')} with the plain firing rate; "
        f"with the rate held fixed, that with criticality is {of('criticality_given_rate')}."
    )


def rho(value: Any) -> str:
    """Return a correlation with its sign, or that there is none."""
    return f"{value:+.2f}".replace("-", "−") if is_number(value) else "undefined"


def entropy_rows(found: Row) -> list[Row]:
    """Return the correlations of a net as flat rows, one per layer."""
    rows = []
    for row in found["layers"]:
        flat = {key: row[key] for key in ("layer", "channels", "firing_rate")}
        for kind in KINDS:
            flat[f"bits, {kind}"] = row[kind]["entropy"]
            flat[f"to criticality, {kind}"] = row[kind]["criticality"]
            flat[f"to rate, {kind}"] = row[kind]["rate"]
            flat[f"given rate, {kind}"] = row[kind]["criticality_given_rate"]
        rows.append(flat)
    return rows


def feature_rows(nets: Row) -> list[Row]:
    """Return spread and cosine of all nets as flat rows, one per class."""
    measured = {name: net["features"] for name, net in nets.items() if "features" in net}
    rows: dict[str, Row] = {}
    for name, found in measured.items():
        for row in found["classes"]:
            flat = rows.setdefault(row["class"], {"class": row["class"]})
            for key, words in (
                ("variance_train", "spread, train"),
                ("variance_test", "spread, test"),
                ("cosine", "cosine"),
            ):
                flat[f"{name}: {words}"] = row[key]
    return list(rows.values())
