"""What the HTML pages share: templates, scripts, and data inside a page."""

import json
from importlib import resources
from typing import Any

from spikeprune.lab.report.plotly_parts import finite


def template(name: str) -> Any:
    """Return a template of the package; every value is escaped unless it is `Markup`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def asset(name: str) -> str:
    """Return the text of a template, style sheet or script."""
    return (resources.files("spikeprune.lab.report") / "templates" / name).read_text(
        encoding="utf-8"
    )


def script_json(value: Any) -> str:
    """Return JSON that can stand inside a script element whatever names it holds."""
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
