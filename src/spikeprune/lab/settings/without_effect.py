"""Options of a run that can have no effect: a table of rules, a row for each field.

They are said by name with the reason, and not refused: a grid shares its options between methods.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spikeprune.data.sets import SETS
from spikeprune.lab.settings.config import RunConfig
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.pruning import without_effect as pruning
from spikeprune.pruning.without_effect import changed, sentence


@dataclass(frozen=True)
class Facts:
    """What a configuration does not say: about its data, and where it computes."""

    kind: str = "static"  # or `events`
    on_cuda: bool = False
    loader_takes: frozenset[str] | None = None  # parameters of the user's own loader; None: all


@dataclass(frozen=True)
class _Case:
    name: str
    config: RunConfig
    facts: Facts


Rule = Callable[[_Case], str]
"""An option of a run to the reason why it has no effect, '' if it may have one."""


def _dense(case: _Case) -> str:
    return "" if resolve(case.config).prunes else "the method is dense, which prunes nothing"


def _pruning(case: _Case) -> str:
    return pruning.RULES[case.name](prune_options(case.config))


def _rounds(case: _Case) -> str:
    rounds = resolve(case.config).rewinds
    return f"an event ends each round of {case.config.method}" if rounds else ""


def _imp(case: _Case) -> str:
    rounds = resolve(case.config).rewinds
    return "" if rounds else f"the method {case.config.method} trains in no rounds"


def _imp_share(case: _Case) -> str:
    return "imp.rounds says how often weights are dropped" if case.config.imp.rounds else ""


def _loader(case: _Case) -> str:
    takes = case.facts.loader_takes
    lacks = takes is not None and case.name.removeprefix("data_") not in takes
    return f"{case.config.data} has no parameter of that name" if lacks else ""


def _root(case: _Case) -> str:
    data = case.config.data
    if data in SETS:
        return "the data come with a package" if "embedded" in SETS[data].forms else ""
    return "" if ":" in data or data == "folder" else f"the data are in the folder {data}"


def _recordings(case: _Case) -> str:
    return "" if case.facts.kind == "events" else "the data are images, not recordings of events"


def _images(case: _Case) -> str:
    return "" if case.facts.kind == "static" else "frames of events differ in every time step"


def _own_net(case: _Case) -> str:
    own = ":" in case.config.model
    return f"{case.config.model} builds the neurons of its net itself" if own else ""


def _trained(case: _Case) -> str:
    idle = bool(_dense(case)) and case.config.dense_epochs == 0
    return "nothing is trained: the method is dense, from a checkpoint" if idle else ""


def _epochs(case: _Case) -> str:
    c = case.config
    if not _dense(case) or (c.epochs.dense is None and c.start != "checkpoint"):
        return ""
    return "the dense net trains for epochs.dense" if c.epochs.dense else _trained(case)


def _momentum(case: _Case) -> str:
    name = case.config.optimizer.name
    return "" if name == "sgd" else f"the optimiser is {name}, which has moments of its own"


def _loss(case: _Case) -> str:
    return "both losses are the same for a single time step" if case.config.time_steps == 1 else ""


def _no_teacher(case: _Case) -> str:
    return "" if case.config.teacher.weight else "teacher.weight is 0, so there is no teacher"


def _single_step(case: _Case) -> str:
    return "a single time step is its own mean" if case.config.time_steps == 1 else ""


def _threads(case: _Case) -> str:
    return "the nets compute on CUDA" if case.facts.on_cuda else ""


def _compile(case: _Case) -> str:
    if not case.config.fuse:
        return "fuse is false, and only fused neurons are compiled"
    return "kernels are compiled for the CPU only" if case.facts.on_cuda else ""


RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(pruning.RULES, (_dense, _pruning)),
    **dict.fromkeys(pruning.ALWAYS, (_dense,)),
    "every": (_dense, _rounds, _pruning),
    "data_root": (_loader, _root),
    "limit": (_loader,),
    "validation": (_loader,),
    "augment": (_loader, _trained),
    "image_size": (_loader,),
    "binning": (_loader, _recordings),
    "batch_size": (_loader,),
    "neuron": (_own_net,),
    "reset": (_own_net,),
    "preset": (_own_net,),
    "rate_penalty": (_dense,),
    "synops_penalty": (_dense,),
    "teacher.weight": (_dense,),
    "teacher.temperature": (_dense, _no_teacher),
    "teacher.per_step": (_dense, _no_teacher, _single_step),
    "curves": (_dense,),
    "imp.share": (_imp, _imp_share),
    "imp.rounds": (_imp,),
    "imp.rewind": (_imp,),
    "imp.budget": (_imp,),
    "epochs.prune": (_epochs,),
    "epochs.finetune": (_epochs,),
    "optimizer.name": (_trained,),
    "optimizer.lr": (_trained,),
    "optimizer.momentum": (_trained, _momentum),
    "optimizer.weight_decay": (_trained,),
    "optimizer.schedule": (_trained,),
    "optimizer.clip_norm": (_trained,),
    "loss": (_trained, _loss),
    "threads": (_threads,),
    "compile": (_compile,),
    "static_first_layer": (_images,),
}
"""By dotted field of `RunConfig` the rules that may give a reason; the first that does counts."""

ALWAYS = frozenset(
    {
        "data",
        "model",
        "model_args",  # a net refuses arguments that it does not take
        "weights",
        "start",  # refused where it contradicts `weights`
        "time_steps",
        "layout",
        "method",
        "extensions",  # imported in any case
        "epochs.dense",
        "seed",
        "out",
        "device",
        "channels_last",  # where a net is better off without, a notice says so
        "fuse",
        "input_operands",  # which inputs are 0 or 1 throughout is known after they were counted
        "precision",
    }
)
"""Fields that have an effect wherever they are not refused."""


def without_effect(config: RunConfig, facts: Facts) -> tuple[str, ...]:
    """Return a sentence for each option that is not at its default and can have no effect."""
    found = []
    for name, value in changed(config):
        case = _Case(name, config, facts)
        why = next((why for rule in RULES.get(name, ()) if (why := rule(case))), "")
        if why:
            found.append(sentence(name, value, why))
    return tuple(found)
