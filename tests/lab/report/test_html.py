import base64
import hashlib
import json
import re

import jinja2
import pytest

from spikeprune.lab.report.html import TableCell, render_page
from spikeprune.lab.report.plotly_parts import Figure, layout

EVIL = "</script><img src=x>"
SPEC = {"data": [{"type": "bar", "x": [1.0, float("nan")]}], "layout": layout(100)}


def page(figures=(), styles=("report.css",), **values):
    table = [[TableCell("conv", link="a/report.html"), TableCell("1.5 k", 1500)]]
    defaults = {
        "title": EVIL,
        "headline": "",
        "columns": ["layer", "SynOps"],
        "table": table,
        "figures": figures,
        "definitions": [("Term", "Text")],
        "citations": [("Paper", "https://example.org/paper"), ("Book", "")],
    }
    empty = ("notes", "contrasts", "facts", "config", "files", "prints", "cells", "front")
    values = defaults | dict.fromkeys(empty, ()) | values
    return render_page("compare.html", figures, styles=styles, **values)


def test_values_are_escaped():
    assert "<img" not in page()
    assert "&lt;img src=x&gt;" in page()


def test_figures_are_data_or_a_reason():
    drawn = Figure(EVIL, "Drawn", "Caption.", "Summary.", SPEC)
    empty = Figure("empty", "Empty", "Caption.", reason="No numbers.")
    text = page([drawn, empty])
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', text).group(1))
    assert list(data) == [EVIL]
    assert data[EVIL]["data"][0]["x"] == [1.0, None]
    assert 'data-height="100"' in text
    assert "<strong>Nothing to draw.</strong> No numbers." in text


def test_table_cells_sort_by_value_and_link():
    text = page()
    assert '<th scope="row"><a href="a/report.html">conv</a></th>' in text
    assert '<td data-value="1500">1.5 k</td>' in text


def test_sources_without_an_address_have_no_link():
    text = page()
    assert '<a href="https://example.org/paper"' in text
    assert "<li>Book</li>" in text


def test_style_sheets_stand_in_order():
    text = page(styles=("report.css", "reproduce.css"))
    assert "--series-0" not in text
    assert "--series-0" in page(styles=("report.css", "compare.css"))
    assert text.index("--paper") < text.index(".experiment")


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="headline"):
        render_page("compare.html", [], title="No headline")


def test_the_policy_allows_the_scripts_and_styles_of_the_page_alone():
    text = page([Figure("one", "One", "Caption.", "Summary.", SPEC)])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)[1]
    allowed = {
        kind: set(re.findall(r"'sha256-(.*?)'", policy.split(f"{kind}-src ")[1].split(";")[0]))
        for kind in ("script", "style")
    }
    inline = {
        "script": re.findall(r"<script>(.*?)</script>", text, re.DOTALL),
        "style": [*re.findall(r"<style>(.*?)</style>", text, re.DOTALL), ""],
    }
    for kind, texts in inline.items():
        digests = (hashlib.sha256(one.encode()).digest() for one in texts)
        assert allowed[kind] == {base64.b64encode(one).decode() for one in digests}, kind
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    markup = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"<[^>]* (style|on\w+)=", markup)


def test_plotly_is_told_to_leave_out_the_styles_of_maps():
    assert len(re.findall(r'<template id="\w{64}">', page())) == 1
