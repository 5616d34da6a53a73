"""Two budgets by name in one option: `--budget '{synops: 0.05, weights: 0.1}'`."""

from collections.abc import Mapping
from typing import Any

from spikeprune.errors import ConfigError, shown
from spikeprune.lab.settings.yaml_values import parse_yaml


def as_one_budget(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run with a mapping of budgets taken apart.

    The first one becomes `budget` and `sparsity`, the second one `within`, in `channels.budget`
    where channels are pruned.

    Raises:
        ConfigError: a sparsity or a second budget beside the mapping, or shares that are none.
    """
    given = values.get("budget")
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = parse_yaml(given, "budget")
    if not isinstance(given, Mapping):
        return dict(values)
    beside = [name for name in ("sparsity", "within") if values.get(name)]
    if beside:
        raise ConfigError(
            f"budget gives live shares by unit, {shown(dict(given))}, and {beside[0]} says so too; "
            "leave one of the two out"
        )
    shares = {unit: share for unit, share in given.items() if _is_share(share)}
    if not shares or len(shares) < len(given):
        raise ConfigError(
            "expected budget as a unit, or as live shares in (0, 1) by unit, such as "
            f"{{synops: 0.05, weights: 0.1}}; got {shown(dict(given))}"
        )
    (unit, share), *further = shares.items()
    rest = {name: value for name, value in values.items() if name != "budget"}
    if values.get("granularity") == "channel":
        rest["channels"] = {**(values.get("channels") or {}), "budget": unit}
    else:
        rest["budget"] = unit
    # The decimal fraction that was meant: 1 - 0.05 is 0.95, not 0.9499999999999999556.
    return rest | {"sparsity": round(1 - share, 12), "within": dict(further)}


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 < value < 1
