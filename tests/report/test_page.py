"""The page in a real browser: it loads nothing, says nothing on the console, shows the figures, fits a telephone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reports.period import bar, render_csv, render_page
from reports.visible import visible
from tests.house.results import HOSTILE
from tests.house.test_report import page as parsed
from tests.report.browser import Browser, browser
from tests.report.records import attempt, count, entry, finding, record, report, watched

FORMULA = '=HYPERLINK("http://evil.example";"x"),\r\n'
DAY = ("2026-11-24T00:00:00", "2026-11-25T00:00:00")


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A day with something of everything, and text of the worst kind wherever it may come from outside."""
    path = record(
        tmp_path_factory.mktemp("record"),
        entry([watched("2026-11-23T00:00:00", "2026-11-24T00:00:00")], [finding(9, "2026-11-23T12:00:00")]),
        entry(
            [watched("2026-11-24T00:00:00", "2026-11-24T18:00:00", undecodable=7, sensor=HOSTILE)],
            [
                finding(1, "2026-11-24T08:00:00", severity="critical", subject=HOSTILE, reason=f"names {HOSTILE}"),
                finding(2, "2026-11-24T09:00:00", subject=visible(FORMULA), reason=visible(FORMULA), flows=1234),
            ],
            [attempt("2026-11-24T01:00:00", "198.51.100.1", flows=5)],
            [count("allowed", DAY[0], 4000), count("violation", DAY[0], 1235)],
            [count("ext-access-client-sip", DAY[0], 4000)],
            paths=["ext-access-client-sip", "ext-xmpp-in"],
            observable=["unlisted-path"],
            not_observable=[{"rule": "sip-udp", "why": HOSTILE}],
            doubts=[HOSTILE],
        ),
    )
    return report(path, "2026-11-24", zone="Asia/Kathmandu", now="2026-11-24T18:00:30")


@pytest.fixture(scope="module")
def html(figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(figures, ZoneInfo("Asia/Kathmandu")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as driven:
        yield driven


def test_nothing_is_fetched_and_nothing_goes_wrong(window: Browser, html: Path) -> None:
    window.open(html)
    asked = [event["request"]["url"] for event in window.said("Network.requestWillBeSent")]
    assert asked == [html.as_uri()]
    assert window.said("Log.entryAdded") == []
    assert window.said("Runtime.consoleAPICalled") == []
    assert window.said("Runtime.exceptionThrown") == []
    assert window.said("Page.javascriptDialogOpening") == []
    assert window.ask("document.scripts.length + document.images.length") == 0


def test_the_figures_are_shown(window: Browser, html: Path) -> None:
    window.open(html)
    text = re.sub(r"\s+", " ", window.ask("document.body.innerText"))
    for said in (
        "Edge report of Contoso: 2026-11-24 (partial)",
        "2026-11-24 00:00:00 to 2026-11-25 00:00:00, times in Asia/Kathmandu",  # 18:15 UTC on the day before
        "this is what was seen until 2026-11-24 23:45:00",
        "Violations 2 findings, the gravest critical",
        "5,235 flows",
        "4,000 allowed",
        "1 path not used",
        "2026-11-24 13:45:00 to 2026-11-24 13:45:00 Asia/Kathmandu",  # the finding of 08:00 UTC
        HOSTILE,
        "2 findings new and 0 gone since 2026-11-23",
    ):
        assert said in text, said
    assert window.ask("document.querySelectorAll('svg.bar rect.later').length") == 2


@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits(window: Browser, html: Path, width: int) -> None:
    window.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    window.open(html)
    assert window.ask("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_by_day_and_by_night(window: Browser, html: Path, scheme: str) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 to 1 at least, for all text against what it stands on."""
    window.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.open(html)
    found = json.loads(window.ask(CONTRASTS))
    window.call("Emulation.setEmulatedMedia", features=[])
    assert len(found) > 50
    grounds = {ground for _, ground, _ in found}
    assert all((luminance(ground) > 0.5) == (scheme == "light") for ground in grounds - badges(found))
    for ink, ground, text in found:
        high, low = sorted((luminance(ink), luminance(ground)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, ground, text)


CONTRASTS = """JSON.stringify([...document.querySelectorAll('main *')].filter(e => e.children.length == 0
    && e.textContent.trim() && !e.closest('svg')).map(e => {
  let at = e; while (at && getComputedStyle(at).backgroundColor == 'rgba(0, 0, 0, 0)') at = at.parentElement;
  return [getComputedStyle(e).color, getComputedStyle(at).backgroundColor, e.className + ' ' + e.textContent];
}))"""


def badges(found: list[list[str]]) -> set[str]:
    return {ground for _, ground, text in found if text.startswith("badge")}


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` as WCAG 2.1 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_can_be_printed(window: Browser, html: Path) -> None:
    """On paper nobody can open what is folded: gaps are listed there."""
    window.open(html)
    folded = "document.querySelector('details:not([open]) li').checkVisibility()"
    assert window.ask(folded) is False
    window.call("Emulation.setEmulatedMedia", media="print")
    assert window.ask(folded) is True
    window.call("Emulation.setEmulatedMedia", media="")
    paper = base64.b64decode(window.call("Page.printToPDF", printBackground=False)["data"])
    assert paper.startswith(b"%PDF")


def test_the_page_has_no_way_out(html: Path) -> None:
    made = parsed(html.read_text(encoding="utf-8"))
    assert not {"script", "img", "link", "iframe", "object", "form", "a"} & set(made.tags)
    assert not {"src", "href", "style", "srcset"} & {name for name, _ in made.attributes}
    assert not [name for name, _ in made.attributes if name.startswith("on")]
    assert HOSTILE in made.text


def test_a_table_for_spreadsheets(figures: dict[str, Any]) -> None:
    """Three lines for two findings, LF alone, formulas disarmed, semicolons of an item kept apart."""
    text = render_csv(figures)
    lines = text.split("\n")
    assert len(lines) == 4
    assert lines[3] == ""
    assert "\r" not in text
    titles = lines[0].split(",")
    assert titles[2:6] == ["id", "rule", "severity", "position"]
    assert lines[1].startswith("2026-11-23T18:15:00.000000Z,2026-11-24T18:00:00.000000Z,0000000000000001,unlisted-path")
    assert ",nist-800-53:AC-4;nist-800-53:SC-7," in lines[1]
    assert '"\'=HYPERLINK(""http://evil.example"";""x""),\\u{000d}\\u{000a}"' in lines[2]
    assert ",1234,12340,1234000," in lines[2]


def test_a_minute_of_a_quarter_is_seen() -> None:
    """What is rarer lies on top, a unit of the thousand wide at least."""
    year = {"from": "2026-01-01T00:00:00.000000Z", "to": "2026-04-01T00:00:00.000000Z"}
    period = {**year, "until": year["to"]}
    minute = ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:01:00.000000Z")
    gap = {"share": 0.9999, "gap_count": 1, "gaps": [{"from": minute[0], "to": minute[1]}]}
    assert bar(gap, period) == [("watched", 0, 1000), ("gap", 0, 1)]
    seen = {"share": 0.0001, "gap_count": 1, "gaps": [{"from": minute[1], "to": year["to"]}]}
    assert bar(seen, period) == [("gap", 0, 1000), ("watched", 0, 1)]
    assert bar({"share": 0.0, "gap_count": 1, "gaps": [{"from": year["from"], "to": year["to"]}]}, period) == [
        ("gap", 0, 1000)
    ]
