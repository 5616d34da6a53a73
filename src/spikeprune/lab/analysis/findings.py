"""The type of `analysis.json` and its parts; docs/analysis.md has keys, units and meanings."""

from typing import Any

Findings = dict[str, Any]
"""Content of `analysis.json`, its part about one run or about a pair, or a row of a part."""
