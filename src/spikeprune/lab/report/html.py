"""HTML pages: templates filled with values, tables and figures, each in one file."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from spikeprune.lab.report.plotly_parts import Figure, finite

# Plotly adds style elements and attributes without text, and rules to them by script.
_EMPTY = ""
# It also adds styles of maps, which no page here has, unless there is an element of this id.
_STYLES_OF_MAPS = re.compile(
    r'getElementById\("(\w{64})"\)\)\{var \w+=document\.createElement\("style"\)'
)


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
    css, script, plotly = "".join(map(_asset, styles)), _asset("report.js"), get_plotlyjs()
    return environment.get_template(name).render(
        policy=Markup(content_policy(scripts=(plotly, script), styles=(css, _EMPTY))),
        css=Markup(css),
        script=Markup(script),
        plotly=Markup(plotly),
        unwanted_styles=_STYLES_OF_MAPS.findall(plotly),
        specs=Markup(_script_json({figure.key: figure.spec for figure in figures if figure.spec})),
        **values,
    )


def content_policy(*, scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Return a Content-Security-Policy that allows these inline texts, and images of the page's.

    No other script or style runs, whatever a name in the page holds, and nothing is fetched. Style
    attributes may have these texts, too (`unsafe-hashes`), scripts in attributes may not.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hashes(scripts)}",
            f"style-src 'unsafe-hashes' {_hashes(styles)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)


def _asset(name: str) -> str:
    file = resources.files("spikeprune.lab.report") / "templates" / name
    return file.read_text(encoding="utf-8")


def _script_json(value: Any) -> str:
    """Return JSON that is safe inside a script element, whatever names it holds."""
    text = json.dumps(finite(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
