"""Finished runs: invented ones, as folders with a full `metrics.json`, and tiny real ones."""

import json
import math
import random
from dataclasses import dataclass

import pytest

from spikeprune.lab.run.run import run
from spikeprune.lab.settings.config import RunConfig


@dataclass(frozen=True)
class FakeRun:
    """Recipe of an invented run folder; every field is a trait that a report must cope with."""

    granularity: str = "weight"
    method: str = "criticality"
    events: int = 8
    regrow: bool = True
    layers: int = 6
    classes: int = 10
    class_names: tuple[str, ...] = ()
    prefix: str = "features"
    epochs: int = 6
    finetune: int = 4
    synops_factor: float = 0.62
    history: bool = True
    cut: bool = True
    seed: int = 0

    def names(self):
        return [f"{self.prefix}.{3 * index}" for index in range(self.layers - 1)] + ["classifier"]

    def widths(self):
        return [16 * 2 ** (3 * index // self.layers) for index in range(self.layers - 1)] + [
            self.classes
        ]

    def write(self, folder):
        """Write the folder and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        metrics = self.metrics()
        (folder / "metrics.json").write_text(json.dumps(metrics, allow_nan=False))
        (folder / "config.yaml").write_text(
            f"data: fashion-mnist\nmodel: vgg-small\nsparsity: 0.9\nschedule: cubic\n"
            f"regrow: {self.method if self.regrow else 'none'}\nseed: {self.seed}\n"
        )
        if self.history:
            rows = self.history_rows(metrics["regrowth"]["events"])
            (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    def history_rows(self, events):
        dice = random.Random(self.seed)
        total = self.epochs + self.finetune
        stages = [("dense", e, total, e) for e in range(1, total + 1)]
        stages += [("prune", e, self.epochs, e) for e in range(1, self.epochs + 1)]
        stages += [
            ("finetune", e, self.finetune, self.epochs + e) for e in range(1, self.finetune + 1)
        ]
        for stage, epoch, epochs, at in stages:
            pruned = stage != "dense"
            past = [event["density"] for event in events if event["epoch"] <= at]
            yield {
                "kind": "epoch",
                "stage": stage,
                "epoch": epoch,
                "epochs": epochs,
                "loss": 0.35 + 1.6 * math.exp(-at / 2.2) + 0.08 * pruned + dice.uniform(0, 0.04),
                "validation_accuracy": 0.89 - 0.5 * math.exp(-at / 1.6) - 0.012 * pruned,
                "density": past[-1] if pruned and past else 1.0,
                "lr": 0.1 * (1 - at / total),
                "seconds": 11.5,
            }
            if stage == "prune":
                for event in events:
                    if event["epoch"] == epoch:
                        yield {"kind": "event", "stage": "prune", **event}
        yield {"kind": "stage", "stage": "evaluate", "message": "done"}

    def metrics(self):
        dice = random.Random(self.seed)
        regrowth = {"events": [self.event(k, dice) for k in range(1, self.events + 1)]}
        known = [row["survival"] for row in regrowth["events"] if row["survival"] is not None]
        regrowth["survival_mean"] = sum(known) / len(known) if known else None
        names, widths = self.names(), self.widths()
        after = [max(1, round(0.8 * width)) if self.cut else width for width in widths[:-1]]
        return {
            "schema": 1,
            "spikeprune": "0.1.0",
            "method": self.method,
            "granularity": self.granularity,
            "command": "spikeprune run --data fashion-mnist --model vgg-small --sparsity 0.9",
            "data": self.data(),
            "model": {"name": "vgg-small", "arguments": {"neuron": "lif", "reset": "hard"}},
            "time_steps": 4,
            "seed": self.seed,
            "device": "cpu",
            "threads": 2,
            "precision": "bf16",
            "versions": {"python": "3.11", "torch": "2.13", "spikingjelly": "2.0.0"},
            "target": {"sparsity": 0.9, "budget": f"{self.granularity}s"},
            "static_first_layer": True,
            "dense": self.side(dice, 1.0),
            "pruned": self.side(dice, 0.1),
            "cost": {
                "pruning_epochs": self.epochs,
                "total_epochs": self.epochs + self.finetune,
                "training_flops": 8.1e13,
                "training_flops_sparse": 3.9e13,
                "wall_seconds": 151.2,
                "peak_rss_bytes": 1_430_000_000,
                "dense": {
                    "total_epochs": self.epochs + self.finetune,
                    "training_flops": 8.1e13,
                    "wall_seconds": 118.0,
                },
            },
            "regrowth": regrowth,
            "criticality": self.criticality(dice),
            "cut": {
                "channels_before": dict(zip(names, widths[:-1], strict=False)),
                "channels_after": dict(zip(names, after, strict=False)),
                "kept_though_inputs_dead": [],
                "masked_vs_cut_max_abs_diff": 2.4e-7,
            },
            "notes": ["Latency was measured with 2 threads on a machine that others shared."],
        }

    def data(self):
        plain = tuple(f"class {index:03d}" for index in range(self.classes))
        names = (self.class_names + plain)[: self.classes]
        return {
            "name": "fashion-mnist",
            "label": "Fashion-MNIST",
            "classes": list(names),
            "shape": [1, 28, 28],
            "samples": {"train": 54000, "validation": 6000, "test": 10000},
            "kind": "static",
        }

    def event(self, number, dice):
        final = 0.1 if self.granularity == "weight" else 0.5
        density = final + (1 - final) * (1 - number / self.events) ** 3
        layers = {}
        for index, (name, width) in enumerate(zip(self.names(), self.widths(), strict=True)):
            total = width * (144 if self.granularity == "weight" else 1)
            live = round(total * min(1.0, density * dice.uniform(0.7, 1.3)))
            share = 0.2 * math.exp(-index / 2) if self.regrow and name != "classifier" else 0
            layers[name] = {"live": live, "total": total, "regrown": round(live * share)}
        regrown = sum(row["regrown"] for row in layers.values())
        dropped = round(0.3 * regrown)
        return {
            "event": number,
            "events": self.events,
            "step": 100 * number,
            "epoch": math.ceil(number * self.epochs / self.events),
            "density": density,
            "live": sum(row["live"] for row in layers.values()),
            "kept": sum(row["live"] for row in layers.values()) - regrown,
            "regrown": regrown,
            "dropped_and_returned": dropped,
            "dead_and_returned": regrown - dropped,
            "survival": None if number == 1 or not self.regrow else 0.35 + 0.05 * dice.random(),
            "layers": layers,
        }

    def criticality(self, dice):
        if not self.regrow:
            return {}
        return {
            f"{name}.neuron": [
                min(1.0, max(0.0, dice.gauss(0.9 - 0.08 * index, 0.07))) for _ in range(width)
            ]
            for index, (name, width) in enumerate(zip(self.names(), self.widths(), strict=True))
            if name != "classifier"
        }

    def side(self, dice, density):
        pruned = density < 1
        factor = self.synops_factor if pruned else 1.0
        rows = []
        for index, (name, width) in enumerate(zip(self.names(), self.widths(), strict=True)):
            last = name == "classifier"
            operand = "analog" if index == 0 else "spikes"
            rows.append(
                {
                    "name": name,
                    "shape": [width, 64] if last else [width, 16, 3, 3],
                    "density": density * dice.uniform(0.8, 1.2) if pruned else 1.0,
                    "firing_rate": None if last else (0.2 - 0.02 * pruned) / (1 + 0.2 * index),
                    "synops": round(900_000 * factor / (1 + 0.3 * index)),
                    "operand": operand,
                    "value_weighted_acs": None,
                    "dead_channels": index if pruned else 0,
                }
            )
        macs = sum(row["synops"] for row in rows if row["operand"] == "analog")
        acs = sum(row["synops"] for row in rows) - macs
        classes = [min(1.0, dice.uniform(0.8, 0.99) - 0.01 * pruned) for _ in range(self.classes)]
        return {
            "test_accuracy": 0.8812 if pruned else 0.8897,
            "validation_accuracy": 0.885 if pruned else 0.893,
            "per_class_accuracy": classes,
            "parameters": 391_000 if pruned else 462_410,
            "nonzero_parameters": 46_800 if pruned else 462_410,
            "density": density,
            "dense_macs_per_sample": 21_300_000,
            "effective_macs_per_sample": macs,
            "effective_acs_per_sample": acs,
            "synops_per_sample": macs + acs,
            "energy_nj_per_sample": (4.6 * macs + 0.9 * acs) / 1000,
            "firing_rate": 0.118 if pruned else 0.131,
            "latency_ms": {"b1": 3.31 if pruned else 3.42, "b32": 44.2 if pruned else 51.0},
            "latency_threads": 2,
            "first_layer_macs_per_sample": {"static": macs, "every_step": 4 * macs},
            "layers": rows,
        }


@pytest.fixture(scope="session")
def fake_run():
    """The factory: `fake_run(events=1).write(folder)`."""
    return FakeRun


TINY = {
    "data": "digits",
    "limit": 100,
    "batch_size": 20,
    "sparsity": 0.7,
    "every": 2,
    "model": "vgg-small",
    "model_args": {"widths": [4, 8, 8], "strides": [2, 1, 1]},
    "time_steps": 3,
    "epochs": {"prune": 2, "finetune": 1},
    "threads": 1,
    "optimizer": {"name": "adamw", "lr": 0.1},
}
CHANNEL = {"granularity": "channel", "sparsity": 0.4}
RANDOM = {
    "method": "random-regrow",
    "sparsity": 0.3,
    "every": 5,
    "initial_value": "previous",  # from 0 no regrown weight survives so short a training
}
OTHER = {
    "model_args": {"widths": [4, 6, 8], "strides": [2, 1, 1]},
    "time_steps": 2,
    "limit": 80,
    "method": "magnitude",
    "epochs": {"prune": 1, "finetune": 0},
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Folders of real runs on digits by name, made in some seconds; only to be read."""
    base = tmp_path_factory.mktemp("finished")
    runs = {
        "weight": {},
        "random": RANDOM,
        "channel": CHANNEL | {"regrow_fraction": 0.2},
        "channel-random": CHANNEL | {"method": "random"},
        "dense": {"method": "dense", "sparsity": None},
        "other": OTHER,
    }
    for name, values in runs.items():
        run(RunConfig.from_dict(TINY | {"out": str(base / name)} | values))
    return {name: base / name for name in runs}
