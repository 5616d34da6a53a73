"""An analysis in sentences and flat rows, for the page and the terminal."""

from typing import Any

from spikeprune.lab.analysis.findings import Findings
from spikeprune.lab.analysis.net_measures import KINDS
from spikeprune.lab.report.number_words import is_number, percent


def titles(found: Findings) -> list[str]:
    """Return the titles of the runs: `folder`, or `A: folder` and `B: folder`."""
    names = [run["folder"].rstrip("/").rsplit("/", 1)[-1] for run in found["runs"]]
    if len(names) == 1:
        return names
    return [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]


def headline(found: Findings) -> list[str]:
    """Return the main results in sentences, one or two per run."""
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


def regrowth_sentence(found: Findings) -> str:
    """Return the share of regrowth that went to the first half of the layers, in a sentence."""
    half, layers = found["first_half"], found["layers"]
    return (
        f"{percent(half['share_of_regrown'], 0)} of the regrown went to the first half of the "
        f"layers ({half['layers']} of {len(layers)}), which holds "
        f"{percent(half['share_of_all'], 0)} of the {found['unit']}."
    )


def _entropy_sentence(found: Findings) -> str:
    means, total = found["mean"]["position"], len(found["layers"])

    def mean(key: str) -> str:
        layers = means[key]["layers"]
        some = f" ({layers} of {total} layers)" if layers < total else ""
        return rho(means[key]["mean"]) + some

    return (
        "over the channels of a layer, spike entropy (by position) has a mean rank correlation of "
        f"{mean('criticality')} with criticality and of {mean('rate')} with the plain firing rate; "
        f"with the rate held fixed, that with criticality is {mean('criticality_given_rate')}."
    )


def rho(value: Any) -> str:
    """Return a correlation with its sign, or `undefined`."""
    return f"{value:+.2f}".replace("-", "−") if is_number(value) else "undefined"


def entropy_rows(found: Findings) -> list[Findings]:
    """Return the correlations of a net as flat rows, one per layer."""
    rows = []
    for row in found["layers"]:
        flat: Findings = {key: row[key] for key in ("layer", "channels", "firing_rate")}
        for kind in KINDS:
            flat[f"bits, {kind}"] = row[kind]["entropy"]
            flat[f"to criticality, {kind}"] = row[kind]["criticality"]
            flat[f"to rate, {kind}"] = row[kind]["rate"]
            flat[f"given rate, {kind}"] = row[kind]["criticality_given_rate"]
        rows.append(flat)
    return rows


def feature_rows(nets: Findings) -> list[Findings]:
    """Return spread and cosine of all nets as flat rows, one per class."""
    rows: dict[str, Findings] = {}
    for name, net in nets.items():
        for row in net.get("features", {}).get("classes", []):
            flat = rows.setdefault(row["class"], {"class": row["class"]})
            flat[f"{name}: spread, train"] = row["variance_train"]
            flat[f"{name}: spread, test"] = row["variance_test"]
            flat[f"{name}: cosine"] = row["cosine"]
    return list(rows.values())
