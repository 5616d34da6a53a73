"""A training step of three nets: ours against SpikingJelly in fp32 and in bf16 + channels_last."""

from benchmarks.nets import CASES, QUICK, ours, spikingjelly, spikingjelly_bf16
from benchmarks.timing import Row, compare, faster

GOALS = {
    "small": (faster(3.2, 5), faster(1.9, 3)),
    "mid": (faster(3.2, 5), faster(1.9, 3)),
    "vgg16": (faster(2.0, 2.9), faster(1.3, 1.8)),
}


def training_rows(*, quick: bool, device: str = "cpu"):
    for key, goals in GOALS.items():
        case = QUICK if quick else CASES[key]
        trainers = {
            "fused, bf16, channels_last": ours(case, device=device),
            "fused, fp32, channels_last": ours(case, device=device, bf16=False),
            "SpikingJelly fp32": spikingjelly(case, device=device),
            "SpikingJelly bf16, channels_last": spikingjelly_bf16(case, device=device),
        }
        runs = {name: trainer.step for name, trainer in trainers.items()}
        ms = compare(runs, rounds=1 if quick else 9 if key == "vgg16" else 11)
        (best, best_ms), (fp32, fp32_ms), *rivals = ms.items()
        what = f"training step, {case}"
        for (rival, rival_ms), goal in zip(rivals, goals, strict=True):
            yield Row(what, best, best_ms, rival, rival_ms, goal, note=_rate(case, best_ms))
        yield Row(what, fp32, fp32_ms, *rivals[0], note=_rate(case, fp32_ms))


def _rate(case, ms):
    return f"{1000 * case.batch / ms:.1f} samples/s"
