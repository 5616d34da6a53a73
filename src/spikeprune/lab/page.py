"""An HTML page with figures in one file: the frame that the report and other pages share."""

import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

from spikeprune.lab.chart import Figure, finite

__all__ = ["render_page"]


def render_page(template: str, figures: Iterable[Figure], **values: Any) -> str:
    """Return a page that needs nothing but itself: scripts, styles and figures are in it.

    Args:
        template: file in `lab/templates`; it takes its frame from `parts.html`.
        figures: those that the template places by `plots`; their keys are unique in the page.
        values: what the template names besides.
    """
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
    return environment.get_template(template).render(
        css=Markup(_asset("report.css")),
        script=Markup(_asset("report.js")),
        plotly=Markup(get_plotlyjs()),
        specs=Markup(_json({figure.key: figure.spec for figure in figures if figure.spec})),
        **values,
    )


def _json(value: Any) -> str:
    """Return JSON that can stand inside a script element whatever names it holds."""
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    return (resources.files("spikeprune.lab") / "templates" / name).read_text(encoding="utf-8")
