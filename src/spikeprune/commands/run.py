"""`spikeprune run`: train, prune, cut, measure and report."""

from spikeprune.commands.base import (
    CONFIGURE,
    RECIPE,
    TRUST_CODE,
    Command,
    Options,
    configuration,
    interruptible,
)
from spikeprune.distributed.launch import launched, processes
from spikeprune.lab.run.check import check
from spikeprune.lab.run.progress.display import Silent, make_display

_DESCRIPTION = """\
Train the dense net, prune and regrow, fine-tune, cut, evaluate and report,
into one folder. A stage whose output exists is skipped, so the same command
continues a run that stopped.

Start from a recipe, or give at least --data, --model and --sparsity. Flags win
over the recipe, in any order. Values are YAML: --augment '[crop, flip]',
--model_args.width 0.5, --limits '{conv1: [0.5, 1]}', and null for nothing."""

_EXAMPLES = """\
examples:
  spikeprune run --recipe smoke
  spikeprune run --recipe demo --method magnitude --epochs.prune 4 --seed 1
  spikeprune run --data cifar10 --data_root ~/data --model vgg16 --sparsity 0.9
  spikeprune run --data my_data:loaders --model my_nets:build \\
                 --weights net.safetensors --granularity channel \\
                 --sparsity 0.5 --out runs/mine

recipes (`spikeprune recipes` describes them):
RECIPES"""


def _run(options: Options) -> None:
    with processes():
        config = configuration(options)
        check(config)
        from spikeprune.lab.run.run import run

        make = make_display if launched()[0] == 0 else Silent
        with interruptible("the run", config.folder), make() as display:
            display.done(run(config, display=display))


RUN = Command(
    "run",
    _run,
    "train, prune, cut, evaluate and report",
    CONFIGURE,
    (RECIPE, TRUST_CODE),
    configures=True,
    description=_DESCRIPTION,
    epilog=_EXAMPLES,
)
