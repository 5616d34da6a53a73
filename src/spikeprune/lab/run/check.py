"""Refuse a configuration that cannot work, with one message that says what to do."""

from pathlib import Path

import torch

from spikeprune.choices import check_choices
from spikeprune.data import locate
from spikeprune.distributed.collectives import world_size
from spikeprune.errors import ConfigError, RunError, unknown_name
from spikeprune.lab.run_folder import RunFolder
from spikeprune.lab.settings.config import RunConfig, differences
from spikeprune.lab.settings.imp_rounds import rounds_of
from spikeprune.lab.settings.method_choice import prune_options, resolve
from spikeprune.manifest import require_whole
from spikeprune.ranges import check_ranges
from spikeprune.user_code import import_user_modules
from spikeprune.zoo import NAMES


def check(config: RunConfig, *, steps_per_epoch: int | None = None, folder: bool = True) -> None:
    """Refuse a configuration that cannot be run; writes nothing.

    Without `steps_per_epoch`, while the data are unknown, the number of pruning events is not
    checked. With `folder` the run folder must be free for this run.
    """
    import_user_modules(config.extensions)
    _names(config)
    _start(config)
    _numbers(config)
    _processes(config)
    _method(config)
    if steps_per_epoch is not None:
        check_events(config, steps_per_epoch)
    if folder:
        check_folder(config)


def _names(config: RunConfig) -> None:
    check_choices(config)
    locate(config.data, config.data_root)
    if ":" not in config.model and config.model not in NAMES:
        unknown = unknown_name("model", config.model, NAMES)
        raise ConfigError(f"{unknown}; or module:callable for a net of your own")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch finds no CUDA device; use --device cpu")
    if config.compile == "on" and not config.fuse:
        raise ConfigError(
            "compile is on, but fuse is false, and only fused neurons are compiled; use --fuse "
            "true, or leave --compile out"
        )


def _numbers(config: RunConfig) -> None:
    check_ranges(config)
    least = {"prune": 1 if resolve(config).prunes else 0, "dense": 0 if config.weights else 1}
    for name, epochs in (("prune", config.epochs.prune), ("dense", config.dense_epochs)):
        if epochs < least[name]:
            raise ConfigError(f"expected epochs.{name} to be at least {least[name]}, got {epochs}")


def _processes(config: RunConfig) -> None:
    processes = world_size()
    if config.batch_size % processes:
        least = config.batch_size // processes * processes
        raise ConfigError(
            f"expected a batch_size that {processes} processes can share equally, got "
            f"{config.batch_size}; use --batch_size {least or processes} or "
            f"{least + processes}, or another number of processes"
        )


def _start(config: RunConfig) -> None:
    if config.start == "checkpoint" and config.weights is None:
        raise ConfigError(
            "start is checkpoint, but no checkpoint is given; add --weights FILE, or use "
            "--start init"
        )
    if config.start == "init" and config.weights is not None:
        raise ConfigError(
            f"weights are given ({config.weights}), but start is init, which would not use them; "
            "use --start checkpoint, or leave --weights out"
        )
    if RunFolder(config.folder).metrics.is_file():  # a finished run needs them no more
        return
    if config.weights is not None and not Path(config.weights).expanduser().is_file():
        raise ConfigError(f"expected a checkpoint, but there is no file {config.weights}")


def _method(config: RunConfig) -> None:
    for pattern, (low, high) in config.limits.items():
        if not 0 <= low <= high <= 1:
            raise ConfigError(
                f"limits.{pattern}: expected densities 0 <= lowest <= highest <= 1, "
                f"got [{low:g}, {high:g}]"
            )
    method = resolve(config)
    if not method.prunes:
        return
    options = prune_options(config)
    if method.rewinds:
        rounds_of(config)
    if config.input_operands == "analog" and "energy" in options.units:
        raise ConfigError(
            "a budget of energy counts the operands of the input by value, and --input_operands "
            "analog measures the net by another rule; leave it out, or take a budget of synops"
        )
    if options.schedule == "at-start" and config.weights:
        raise ConfigError(
            f"method {config.method!r} chooses weights before any training, but starts from the "
            f"checkpoint {config.weights}; use another method, or leave --weights out"
        )


def check_events(config: RunConfig, steps_per_epoch: int) -> None:
    """Refuse a schedule without any pruning event: the run would silently prune nothing."""
    method = resolve(config)
    if config.prunes_channels or not method.prunes or method.rewinds:
        return
    steps = steps_per_epoch * config.epochs.prune
    single = method.parts.get("schedule") in ("one-shot", "at-start")
    if config.every is not None and not single and steps < config.every:
        raise ConfigError(
            f"the schedule has no pruning event: {config.epochs.prune} epochs of {steps_per_epoch} "
            f"steps make {steps} steps, and an event comes every {config.every}; use --every "
            f"{max(1, steps // 10)} or less, or more --epochs.prune"
        )


def check_folder(config: RunConfig) -> bool:
    """Refuse a run folder with other files; return whether this run was started there before."""
    folder = RunFolder(config.folder)
    if folder.path.exists() and not folder.path.is_dir():
        raise RunError(f"{folder.path} is a file; give another --out for the run folder")
    require_whole(folder.path, folder.config.name)
    if not folder.config.is_file():
        if folder.path.is_dir() and any(folder.path.iterdir()):
            raise RunError(
                f"{folder.path} holds files that are not a spikeprune run; "
                "give an empty or new folder as --out"
            )
        return False
    try:
        changed = differences(RunConfig.load(folder.config), config)
    except ConfigError as error:
        raise RunError(
            f"{folder.path} holds a run that this version cannot read ({error}); give another --out"
        ) from error
    if changed:
        words = [f"{name}: {old} there, {new} now" for name, (old, new) in changed.items()]
        raise RunError(
            f"{folder.path} holds a different run ({'; '.join(words)}); give another --out, or "
            "the same options to go on with that run"
        )
    return True
