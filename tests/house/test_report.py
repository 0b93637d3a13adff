"""The report: nothing a browser would obey or fetch, everything the result says, and the sample's own schema."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import jsonschema
import pytest

from reports.render import accounting, render_html, render_text
from reports.schemas import NAMES, schema
from reports.visible import visible
from tests.house.results import HOSTILE, capture, finding, result


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page(html: str) -> Page:
    made = Page()
    made.feed(html)
    made.close()
    assert made.open == []
    return made


def test_the_sample_is_a_result() -> None:
    jsonschema.validate(result(), schema("audit"))


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_the_page_fetches_and_runs_nothing() -> None:
    html = render_html(result())
    made = page(html)
    assert not {"script", "img", "link", "iframe", "object", "form", "a"} & set(made.tags)
    assert not {"src", "href", "style", "srcset"} & {name for name, _ in made.attributes}
    assert not [name for name, _ in made.attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    policy = dict(made.attributes)["content"]
    assert policy is not None
    assert "default-src 'none'" in html


def test_hostile_text_is_text() -> None:
    assert HOSTILE in page(render_html(result())).text
    assert HOSTILE not in render_html(result())


def test_the_page_says_what_the_result_says() -> None:
    text = re.sub(r"\s+", " ", page(render_html(result())).text)
    for said in (
        "Edge audit of Contoso",
        "Violations",
        "the gravest critical",
        "edge01.contoso.net (edge-int), zone perimeter-int",
        "fe01.contoso.net (fe), zone internal, tcp/5061",
        "tcp/5000-60000 (77 ports)",
        "int-sip-edge-to-director",
        "SC-7(5)",
        "ip.addr==172.25.33.10 && ip.addr==192.168.10.90 && tcp.port==50012 && tcp.port==5061",
        "both faces of edge01.contoso.net are in one network",
        "external-to-internal-direct",
        "1 of 3 paths",
        "ext-xmpp-in, int-psom",
        "1,960",
        "snaplen cut: 3 packets",
        "2 of 5 rules could be observed",
        "no sensor at position lan: sip-udp",
        "sha256:" + "12" * 32,
        "cd" * 32,
        "2026-11-22 08:00:00 to 2026-11-22 09:00:00 UTC",
    ):
        assert said in text, said


@pytest.mark.parametrize("verdict", ["inconclusive", "no-violation-seen"])
def test_an_empty_result_renders(verdict: str) -> None:
    empty = result(verdict=verdict, findings=[], attempts=[], captures=[], paths=[], why="nothing was given")
    assert "nothing was given" in page(render_html(empty)).text
    assert "Findings: none" in render_text(empty)


def test_the_text_says_it_too() -> None:
    text = render_text(result())
    assert text.startswith("VIOLATIONS: 2 findings")
    assert "CRITICAL  director-bypass-sip  at internal  [0123456789abcdef]" in text
    assert "edge01.contoso.net (edge-int) -> fe01.contoso.net (fe), tcp/5061, tls" in text
    assert "Flows: 31 = 20 allowed, 2 violation, 4 attempt, 2 undecided, 3 out of scope" in text
    assert "Paths used: 1 of 3" in text


def test_the_number_of_findings_is_the_one_of_the_verdict() -> None:
    """What makes no violation is said apart: config, waived, info."""
    accepted = {"owner": "net", "reason": "moves next year", "expires": "2027-01-01"}
    alone = [finding(), finding(position="config"), finding(severity="info"), finding(waived_by=accepted), finding()]
    assert "\nFindings: 2, and 1 about the declared design, 1 of severity info, 1 waived\n" in render_text(
        result(findings=alone)
    )
    assert "\nFindings: none, and 1 of severity info\n" in render_text(result(findings=[finding(severity="info")]))


def test_a_terminal_is_never_commanded() -> None:
    evil = "\x1b]0;owned\x07\u202etxt.exe"
    text = render_text(result(findings=[finding(reason=evil, subject=evil)], why=evil))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "\\u{001b}]0;owned\\u{0007}\\u{202e}txt.exe" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.pcap", "plain.pcap"),
        ("Büro 書類.pcap", "Büro 書類.pcap"),
        ("a\nb\x7f\x85", "a\\u{000a}b\\u{007f}\\u{0085}"),
        ("\u2028\u2066x", "\\u{2028}\\u{2066}x"),
        (b"caf\xe9.pcap".decode("utf-8", "surrogateescape"), "caf\\xe9.pcap"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_accounting_adds_up_over_captures() -> None:
    sums = accounting([capture(), capture()])
    assert sums["in_flows"] == 1960
    assert sum(sums.values()) == 2000
