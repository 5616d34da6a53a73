"""HTML pages: templates filled with values, tables and figures, each in one file."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from spikeprune.lab.report.plotly_parts import Figure, finite


@dataclass(frozen=True)
class TableCell:
    """A cell of a sortable table: its text, the number by which it is sorted, and its link."""

    text: str
    value: float | None = None
    link: str = ""


def render_page(
    name: str, figures: Iterable[Figure], /, styles: Sequence[str] = ("report.css",), **values: Any
) -> str:
    """Return a page that needs no other file; `values` are escaped unless they are `Markup`."""
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(
        css=Markup("".join(map(_asset, styles))),
        script=Markup(_asset("report.js")),
        plotly=Markup(get_plotlyjs()),
        specs=Markup(_script_json({figure.key: figure.spec for figure in figures if figure.spec})),
        **values,
    )


def _asset(name: str) -> str:
    file = resources.files("spikeprune.lab.report") / "templates" / name
    return file.read_text(encoding="utf-8")


def _script_json(value: Any) -> str:
    """Return JSON that is safe inside a script element, whatever names it holds."""
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
