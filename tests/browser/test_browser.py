"""The report as a browser shows it: `make test-browser`. Chromium runs without a window and without a network."""

import json
import re
import subprocess
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.image import imread
from reporting import write_report

pytestmark = pytest.mark.browser

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=5000"),
)
OWN = "not an origin"  # who asks, in Chromium's log, where Chromium itself and no page does

# what a page says of itself; put into a copy, for the report has no script
SAY = """<script>addEventListener("load", () => console.log("SAYS " + JSON.stringify({
  images: [...document.images].map(image => [image.complete, image.naturalWidth, image.clientWidth]),
  text: document.body.innerText, window: innerWidth, page: document.documentElement.scrollWidth})))</script>"""
POLICY = "default-src 'none'"


class Visit(NamedTuple):
    """What came of opening a page."""

    console: list[str]
    requests: set[str]
    """Addresses that the page asked for, but for its own."""
    pixels: np.ndarray


def visit(page, folder, width=1280, height=4000):
    """Open a file in Chromium and take a screenshot, {folder}/screen.png."""
    command = [
        *("chromium", *OPTIONS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}"),
        *(f"--window-size={width},{height}", f"--screenshot={folder / 'screen.png'}", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    console = re.findall(r":CONSOLE:\d+\] \"(.*)\", source:", done.stderr)
    return Visit(console, requests(folder / "net.json") - {page.as_uri()}, imread(folder / "screen.png"))


def requests(path):
    """Addresses that pages asked for, from Chromium's log of its network."""
    log = json.loads(path.read_text())
    started = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [event.get("params", {}) for event in log["events"] if event["type"] == started]
    return {entry["url"] for entry in asked if "url" in entry and entry.get("initiator") != OWN}


def says(console):
    (line,) = console
    return json.loads(line.removeprefix("SAYS "))


@pytest.fixture(scope="module", params=[2, 3], ids=["2d", "3d"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_report(folder, request.param)
    return folder / "report.html"


@pytest.fixture
def talking(report):
    """A copy of the report that tells what it shows."""
    text = report.read_text(encoding="utf-8")
    assert text.count(POLICY) == text.count("</body>") == 1
    text = text.replace(POLICY, f"{POLICY}; script-src 'unsafe-inline'").replace("</body>", f"{SAY}</body>")
    copy = report.with_name("talking.html")
    copy.write_text(text, encoding="utf-8")
    return copy


def test_report_opens_without_a_request_or_a_complaint(report, tmp_path):
    seen = visit(report, tmp_path)
    assert seen.console == []
    assert {address for address in seen.requests if not address.startswith("data:")} == set()
    assert seen.pixels.shape[:2] == (4000, 1280)
    assert seen.pixels[:1000].std() > 0.05, "there is something to see"
    assert (seen.pixels[:, :100] == 1).all(), "white beside the text"


def test_every_figure_is_decoded_and_shown(talking, tmp_path):
    found = says(visit(talking, tmp_path).console)
    assert len(found["images"]) == 6
    for complete, natural, shown in found["images"]:
        assert complete
        assert natural > 100
        assert shown > 100
    assert "Verdict against " in found["text"]
    assert "average precision at IoU 0.5" in found["text"]


def test_a_phone_need_not_scroll_sideways(talking, tmp_path):
    """In a frame of its width, for no window of Chromium is as narrow."""
    frame = tmp_path / "phone.html"
    frame.write_text(f'<iframe width="360" height="3000" style="border: 0" src="{talking.as_uri()}"></iframe>')
    found = says(visit(frame, tmp_path).console)
    assert found["window"] == 360
    assert found["page"] == 360
    assert all(natural > 100 for _, natural, _ in found["images"])


def pages_on_paper(page, folder):
    path = folder / "printed.pdf"
    command = ["chromium", *OPTIONS, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={path}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return len(re.findall(rb"/Type\s*/Page\b", path.read_bytes()))


def test_what_is_folded_is_printed(report, tmp_path):
    """As many pages as if it were open, more than without it."""
    text = report.read_text(encoding="utf-8")
    counts = {"as it is": pages_on_paper(report, tmp_path)}
    for name, pattern, replacement in (("open", "<details", "<details open"), ("without", "<details.*?</details>", "")):
        copy = tmp_path / f"{name}.html"
        copy.write_text(re.sub(pattern, replacement, text, flags=re.DOTALL), encoding="utf-8")
        counts[name] = pages_on_paper(copy, tmp_path)
    assert counts["as it is"] == counts["open"] > counts["without"] > 2


def test_a_page_that_is_not_as_it_should_be_would_be_seen(tmp_path):
    """Everything that the tests above look for is found where it is."""
    page = tmp_path / "bad.html"
    page.write_text(f'<img src="http://elsewhere.invalid/a.png"><img src="data:image/png;base64,AAAA">{SAY}')
    seen = visit(page, tmp_path)
    assert "http://elsewhere.invalid/a.png" in seen.requests
    found = [line for line in seen.console if line.startswith("SAYS ")]
    assert [natural for _, natural, _ in says(found)["images"]] == [0, 0]
    page.write_text("<script>undefined_function()</script>")
    assert "undefined_function is not defined" in visit(page, tmp_path).console[0]
