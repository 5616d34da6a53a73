"""Report and analysis in a real browser: they draw, stay silent, ask for nothing, fit a phone.

Chromium is driven through its debugging pipe (two file descriptors, JSON), which needs no driver
package and, unlike the command line, can be as narrow as a phone.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import pytest

from spikeprune.lab.analysis import analyze
from spikeprune.lab.compare import comparison_of_runs, write_results
from spikeprune.lab.compare.output.tables import Table
from spikeprune.lab.report.html import TableCell as Shown
from spikeprune.lab.report.report import write_report
from spikeprune.lab.reproduce import EXPERIMENTS, ExperimentResult, Reproduction
from spikeprune.lab.reproduce.output.charts import Chart, Level, Series
from spikeprune.lab.reproduce.output.documents import Circumstances, Folder
from spikeprune.lab.reproduce.output.page import render as render_reproduction

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
REQUIRED = os.environ.get("CI", "").lower() == "true"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-extensions",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-component-update",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
DRAWN = (
    "[...document.querySelectorAll('.plot')].filter(p => p.querySelector('svg.main-svg')"
    " && p.querySelector('.plot path, .plot .point, .plot image')).map(p => p.dataset.figure)"
)
# Chromium reads commands from descriptor 3 and answers on 4.
LAUNCH = "import os,sys; os.dup2(int(sys.argv[1]),3); os.dup2(int(sys.argv[2]),4); "
LAUNCH += "os.execv(sys.argv[3], sys.argv[3:])"


class Browser:
    """One headless Chromium."""

    def __init__(self, profile):
        ends = [*os.pipe(), *os.pipe()]
        high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
        for end in ends:
            os.close(end)
        theirs, (self._in, self._out) = (high[0], high[3]), (high[1], high[2])
        command = [sys.executable, "-c", LAUNCH, *map(str, theirs), CHROMIUM, *FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in theirs:
            os.close(end)
        self._count, self._rest, self.events = 0, b"", []

    def call(self, method, session=None, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for answer in self._read(deadline - time.monotonic()):
                if answer.get("id") != self._count:
                    self.events.append(answer)
                    continue
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
        raise TimeoutError(f"Chromium did not answer {method} within a minute")

    def _read(self, timeout):
        if select.select([self._out], [], [], max(timeout, 0))[0]:
            data = os.read(self._out, 1 << 20)
            assert data, "Chromium ended early"
            *whole, self._rest = (self._rest + data).split(b"\0")
            return [json.loads(message) for message in whole]
        return []

    def close(self):
        with suppress(OSError, AssertionError):
            self.call("Browser.close")
        os.close(self._in)
        os.close(self._out)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Page:
    """One tab that shows a report, as wide and as dark as asked."""

    def __init__(self, browser, path, *, width=1280, dark=False):
        self.browser, phone = browser, width < 600
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        if phone:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + 60
        while not self.value("document.documentElement?.dataset.ready === 'true'"):
            assert time.monotonic() < deadline, f"not drawn within a minute; {self.complaints()}"
            time.sleep(0.05)

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def complaints(self):
        """Return errors and warnings of the console, and exceptions."""
        found = []
        for event in self.events():
            params, method = event["params"], event["method"]
            if method == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"])
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"])
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                found.append(params["args"])
        return found

    def requests(self):
        """Return the addresses that the page asked for."""
        sent = [e for e in self.events() if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def events(self):
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    def picture(self, path):
        """Save a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))


def need_chromium(found, *, required):
    if found is None:
        message = "needs Chromium (Debian: apt install chromium)"
        pytest.fail(message) if required else pytest.skip(message)


@pytest.fixture(scope="module")
def browser():
    need_chromium(CHROMIUM, required=REQUIRED)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def reports(fake_run, tmp_path_factory):
    runs = {
        "weight": fake_run(),
        "large": fake_run(layers=22, events=39, classes=100, prefix="net.stage3.block12.conv_bn"),
        "channel": fake_run(granularity="channel", events=1),
        "bare": fake_run(events=0, history=False, regrow=False, cut=False, class_names=("<b>x",)),
    }
    root = tmp_path_factory.mktemp("reports")
    return {name: write_report(run.write(root / name)) for name, run in runs.items()}


@pytest.fixture(scope="module")
def page(browser, reports):
    return Page(browser, reports["weight"])


def eventually(page, expression):
    """Wait for what a timer of the page brings about."""
    deadline = time.monotonic() + 10
    while not page.value(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        time.sleep(0.05)


def click(page, selector):
    page.value(f"document.querySelector({selector!r}).scrollIntoView({{behavior: 'instant'}})")
    box = page.value(
        f"(r => [r.x + r.width / 2, r.y + r.height / 2])"
        f"(document.querySelector({selector!r}).getBoundingClientRect())"
    )
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        press = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        page.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], **press)


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("weight", 1280, False),
        ("weight", 390, True),
        ("large", 390, False),
        ("channel", 1280, True),
        ("bare", 390, False),
    ],
)
def test_it_draws_fits_and_stays_silent(browser, reports, name, width, dark):
    page = Page(browser, reports[name], width=width, dark=dark)
    assert page.complaints() == []
    assert {url.split(":")[0] for url in page.requests()} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in page.requests()) == 1

    plots = page.value("[...document.querySelectorAll('.plot')].map(p => p.dataset.figure)")
    assert len(plots) == (4 if name == "bare" else 10)
    assert page.value(DRAWN) == plots
    assert page.value("document.querySelectorAll('.absent').length") == 10 - len(plots)
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.value(
        "[...document.querySelectorAll('.plot')].every(p =>"
        " p.querySelector('.main-svg').getBoundingClientRect().right <="
        " p.parentElement.getBoundingClientRect().right)"
    )


@pytest.fixture(scope="module")
def analyses(finished, tmp_path_factory):
    pairs = {"two": ("channel", "channel-random"), "one": ("weight",)}
    root = tmp_path_factory.mktemp("analyses")
    return {
        name: analyze([finished[run] for run in runs], out=root / name, samples=40)[1]
        for name, runs in pairs.items()
    }


@pytest.mark.parametrize(
    ("name", "width", "dark", "count"),
    [("one", 390, True, 11), ("two", 1280, False, 4 + 11 + 10), ("two", 390, False, 4 + 11 + 10)],
)
def test_an_analysis_draws_fits_and_stays_silent(browser, analyses, name, width, dark, count):
    page = Page(browser, analyses[name], width=width, dark=dark)
    assert page.complaints() == []
    assert sum(url.startswith("file:") for url in page.requests()) == 1
    assert {url.split(":")[0] for url in page.requests()} <= {"file", "data"}
    plots = page.value("[...document.querySelectorAll('.plot')].map(p => p.dataset.figure)")
    assert len(plots) == len(set(plots)) == count
    assert page.value(DRAWN) == plots
    assert page.value("document.documentElement.scrollWidth") == width
    # Every layer of the scatter is told apart by a symbol of its own.
    scatter = "document.querySelector('[data-figure=a-dense-scatter]')"
    assert page.value(f"{scatter}.data.map(trace => trace.marker.symbol)") == [0, 1, 2]


def test_a_name_cannot_run_a_script(browser, fake_run, tmp_path):
    evil = "<img src=x onerror=stolen=1><script>stolen=1</script><a href='javascript:stolen=1'>a"
    run = fake_run(classes=2, class_names=(evil, evil), prefix=evil, method=evil, regrow=False)
    page = Page(browser, write_report(run.write(tmp_path / "<b>x")))
    assert page.value("typeof stolen") == "undefined"
    assert page.value("document.querySelectorAll('main img, main script').length") == 0
    assert page.complaints() == []
    # Even where markup gets into the page, its scripts do not run.
    page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=stolen=1>')")
    page.value(
        "document.body.append(Object.assign(document.createElement('script'),"
        "{textContent: 'stolen=1'}))"
    )
    page.value("document.querySelector('main').innerHTML = '<p style=\"color: red\">x</p>'")
    assert page.value("typeof stolen") == "undefined"
    assert (
        page.value("getComputedStyle(document.querySelector('main p')).color") != "rgb(255, 0, 0)"
    )


def test_a_heading_sorts_the_layers(page):
    column = "[...document.querySelectorAll('#layers tbody tr')].map(r => r.cells[3].innerText)"
    click(page, "#layers thead th:nth-child(4) button")
    rates = page.value(column)
    assert page.value("document.querySelector('#layers th[aria-sort]').ariaSort") == "ascending"
    assert rates[-1] == "–"  # the classifier has no rate and stays last both ways
    numbers = [float(rate.split()[0]) for rate in rates[:-1]]
    assert numbers == sorted(numbers)
    click(page, "#layers thead th:nth-child(4) button")
    assert page.value(column) == [*rates[-2::-1], "–"]
    click(page, "#layers thead th:nth-child(1) button")
    names = page.value("[...document.querySelectorAll('#layers tbody th')].map(h => h.innerText)")
    assert names == ["classifier", *(f"features.{index}" for index in (0, 3, 6, 9, 12))]


def test_the_legend_hides_a_line_and_hovering_tells_numbers(page):
    click(page, "#plot-loss .legendtoggle")
    eventually(page, "document.getElementById('plot-loss').data[0].visible === 'legendonly'")
    click(page, "#plot-classes .point")
    eventually(page, "/points/.test(document.querySelector('#plot-classes .hovertext')?.innerHTML)")
    assert page.complaints() == []


def test_changing_to_dark_redraws(page):
    stroke = "getComputedStyle(document.querySelector('#plot-firing .xtick text')).fill"
    light = page.value(stroke)
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    page.call("Emulation.setEmulatedMedia", features=[scheme])
    eventually(page, f"{stroke} !== {light!r}")
    page.value("dispatchEvent(new Event('beforeprint'))")
    eventually(page, f"{stroke} === {light!r}")  # paper is light
    page.value("dispatchEvent(new Event('afterprint'))")
    eventually(page, f"{stroke} !== {light!r}")
    assert page.complaints() == []


def test_figures_and_tables_have_names(page):
    assert page.value(
        "[...document.querySelectorAll('.plot')].every(p => p.role === 'img'"
        " && p.ariaLabel.length > 20)"
    )
    assert page.value("document.querySelectorAll('table:not(:has(caption))').length") == 0
    assert page.value("document.documentElement.lang") == "en"


def test_without_chromium_it_is_skipped_here_and_fails_where_required():
    with pytest.raises(pytest.skip.Exception):
        need_chromium(None, required=False)
    with pytest.raises(pytest.fail.Exception):
        need_chromium(None, required=True)


@pytest.fixture(scope="module")
def comparison(fake_run, tmp_path_factory):
    """The page of a comparison of three methods with two seeds, and pairs."""
    root, runs = tmp_path_factory.mktemp("comparison"), []
    for seed in range(2):
        for method in ("dense", "magnitude", "criticality"):
            run = fake_run(method=method, seed=seed, synops_factor=0.4 + 0.2 * seed)
            runs.append(run.write(root / "runs" / f"{method}-{seed}"))
            values = json.loads((runs[-1] / "metrics.json").read_text())
            values["pruned"]["test_accuracy"] -= 0.01 * len(runs)
            (runs[-1] / "metrics.json").write_text(json.dumps(values))
            config = f"data: digits\nmodel: vgg-small\nmethod: {method}\nseed: {seed}\n"
            (runs[-1] / "config.yaml").write_text(config)
    pairs = [("criticality", "magnitude"), ("magnitude", "dense")]
    return write_results(comparison_of_runs(runs, explore=pairs), root / "out")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_comparison_draws_fits_and_stays_silent(browser, comparison, width, dark):
    page = Page(browser, comparison, width=width, dark=dark)
    assert page.complaints() == []
    assert sum(url.startswith("file:") for url in page.requests()) == 1
    drawn = page.value(
        "[...document.querySelectorAll('.plot')].filter(p => p.querySelector('.errorbars path'))"
        ".map(p => p.dataset.figure)"
    )
    assert drawn == ["sparsity-0", "synops-0", "energy-0", "bytes-0"]
    assert page.value("document.querySelectorAll('.absent').length") == 0
    assert page.value("document.documentElement.scrollWidth") == width
    if width == 1280:  # the two tables that matter need no scrolling there
        for part in ("result", "contrasts"):
            box = f"document.querySelector('#{part} .scroll')"
            assert page.value(f"{box}.scrollWidth <= {box}.clientWidth"), part
    click(page, "#result thead th:nth-child(4) button")
    accuracy = page.value(
        "[...document.querySelectorAll('#result tbody td:nth-child(4)')].map(d => +d.dataset.value)"
    )
    assert accuracy == sorted(accuracy)
    assert page.value("document.querySelectorAll('#cells tbody th a').length") == 6


@pytest.fixture(scope="module")
def reproduction(fake_run, tmp_path_factory):
    """A page of two experiments with both forms of charts and a wide table."""
    root = tmp_path_factory.mktemp("reproduction")
    runs = [fake_run(seed=seed).write(root / "cells" / f"run-{seed}") for seed in range(2)]
    for seed, run in enumerate(runs):
        (run / "config.yaml").write_text(f"data: digits\nmodel: vgg-small\nseed: {seed}\n")
    cells = comparison_of_runs(runs).cells
    names = ("criticality", "gradient-regrow", "random-regrow", "granet")
    series = (
        Series("baseline", (90.0, 91.0, 88.0, 85.0), (1.0,) * 4),
        Series("x", (None, 9, 8, 7)),
    )
    level = (Level("dense net", 95.0), Level("no regrowth", 80.0))
    over = Series("train", (10.0, 50.0, 90.0), (1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    charts = (
        Chart("by-name", "By name", "Caption.", "test accuracy, %", series, names, levels=level),
        Chart("lines", "Over epochs", "Caption.", "accuracy, %", (over,), x="epoch", levels=level),
    )
    columns = tuple(f"a long title of column {n}" for n in range(9))
    table = Table("Many columns", columns, (tuple(Shown(f"{n}.0", n) for n in range(9)),) * 3)
    done = [
        Reproduction(EXPERIMENTS["fig2"], ExperimentResult((table,), charts, ("A note.",)), cells),
        Reproduction(EXPERIMENTS["cost"], None, (), ("a-run-without-result",)),
    ]
    facts = Circumstances("smoke", "s", "e", "c", seeds=[0, 1], cores=2)
    page = root / "reproduce.html"
    page.write_text(render_reproduction(done, facts, Folder(root)))
    return page


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_a_reproduction_draws_fits_and_stays_silent(browser, reproduction, width, dark):
    page = Page(browser, reproduction, width=width, dark=dark)
    assert page.complaints() == []
    assert sum(url.startswith("file:") for url in page.requests()) == 1
    drawn = page.value(
        "[...document.querySelectorAll('.plot')].filter(p => p.querySelector('.errorbars path'))"
        ".map(p => p.dataset.figure)"
    )
    assert drawn == ["by-name", "lines"]
    assert page.value("document.documentElement.scrollWidth") == width
    assert page.value(
        "[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg')"
        ".getBoundingClientRect().right <= p.getBoundingClientRect().right + 1)"
    )
    assert page.value("document.querySelector('#cost .absent').textContent").endswith("result")
