"""What a run is made of beside its configuration, as digests, and what changed between two."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from spikeprune._version import __version__
from spikeprune.adapters.registry import adapters
from spikeprune.data import Data
from spikeprune.data.fingerprint import Fingerprint, changed_parts, fingerprint
from spikeprune.lab.run.identity.source import source_digests
from spikeprune.lab.run.results.versions import code_hash
from spikeprune.lab.settings.config import RunConfig
from spikeprune.user_code import is_import_path


@dataclass(frozen=True)
class Identity:
    """Digests of all that a run's result depends on beside its configuration, by name."""

    source: Mapping[str, str]  # files of the user's code that net, data and adapters come from
    extensions: Mapping[str, str]  # further files, which only extensions import
    weights: Mapping[str, str]  # the file of --weights
    code: str  # this package: version and hash of its source
    data: Fingerprint | None = None  # None: not read

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "data": self.data and self.data.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Undo `to_dict`."""
        data = plain["data"] and Fingerprint.from_dict(plain["data"])
        return cls(**{**{name: plain[name] for name in _PLAIN}, "data": data})

    @property
    def short(self) -> dict[str, Any]:
        """The identity as `metrics.json` has it: digests of source, weights and data in short."""
        data = self.to_dict()["data"]
        return {
            "source": {n: d[:12] for n, d in sorted({**self.extensions, **self.source}.items())},
            "weights": {name: digest[:12] for name, digest in self.weights.items()},
            "data": data and _hash(data["parts"])[:12],
        }


_PLAIN = ("source", "extensions", "weights", "code")


@dataclass(frozen=True)
class Change:
    """A change between two identities."""

    words: str  # such as `the source of nets.py changed`
    of_dense: bool = True  # whether the dense net depends on it, too


def identify(config: RunConfig, data: Data | None) -> Identity:
    """Return the identity of a run now; its files are read, its data are sampled or None."""
    own = [name.partition(":")[0] for name in (config.model, config.data) if is_import_path(name)]
    own += [module for module in map(_module, adapters()) if not module.startswith("spikeprune.")]
    source = source_digests(own)
    return Identity(
        source=source,
        extensions={
            name: digest
            for name, digest in source_digests(config.extensions).items()
            if name not in source
        },
        weights=_weights(config),
        code=f"{__version__}+{code_hash()}",
        data=None if data is None else fingerprint(data),
    )


def dense_name(key: str, identity: Identity) -> str:
    """Return the name of a shared dense net's folder: a hash of its `dense_key` and identity."""
    plain = identity.to_dict()
    data = plain["data"] and plain["data"]["parts"]
    return _hash([key, plain["source"], plain["weights"], plain["code"], data])[:16]


def changes(old: Identity, new: Identity) -> list[Change]:
    """Return what differs; data count only where both identities have them."""
    found = [Change(words) for words in _of_files("the source of", old.source, new.source)]
    moved = old.source.keys() | new.source.keys()
    found += [
        Change(words, of_dense=False)
        for words in _of_files("the source of", _less(old, moved), _less(new, moved))
    ]
    found += [Change(words) for words in _of_files("the weights", old.weights, new.weights)]
    if old.data is not None and new.data is not None:
        found += [Change(words) for words in changed_parts(old.data, new.data)]
    if old.code != new.code:
        versions = f"{old.code} there, {new.code} now"
        found.append(Change(f"spikeprune's own code changed: {versions}"))
    return found


def conditions() -> dict[str, Any]:
    """Return what rounds the same computation differently: threads, torch and processor."""
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _module(adapter: object) -> str:
    return type(adapter).__module__


def _less(identity: Identity, names: Iterable[str]) -> dict[str, str]:
    return {n: digest for n, digest in identity.extensions.items() if n not in set(names)}


def _weights(config: RunConfig) -> dict[str, str]:
    if config.weights is None:
        return {}
    path = Path(config.weights).expanduser()
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {path.name: hashlib.file_digest(file, "sha256").hexdigest()}


def _of_files(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return in words which files differ, are new, or are gone."""
    gone = [f"{what} {name} is gone" for name in old if name not in new]
    changed = [f"{what} {n} changed" for n in old if n in new and old[n] != new[n]]
    return changed + gone + [f"{what} {name} is new" for name in new if name not in old]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
