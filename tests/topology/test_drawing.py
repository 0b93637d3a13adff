"""The drawing of a site: nothing that is declared is missing, nothing overlaps, and no text of the file does harm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from reports.drawing import cells, scene
from reports.drawing_svg import draw_svg
from reports.drawing_text import draw_text
from rules.components import XmppProxy
from rules.declared import client_networks, own_addresses, peer_networks
from rules.importer import import_topology
from rules.load import load, read
from rules.topology import Neighbour, Topology
from tests.topology.plans import CONTOSO, contoso_as

SITES = Path(__file__).parents[1] / "sites"
NAMES = ("northwind", "fourthcoffee", "adventure", "proseware", "lucerne", "alpine", "humongous")
SVG = "{http://www.w3.org/2000/svg}"


def twenty() -> Topology:
    """Twenty Edge Servers, each with addresses of both families."""
    topology = contoso_as("hlb")
    pool = topology.edge_pools[0]
    first = pool.members[0]
    members = tuple(
        replace(
            first,
            fqdn=f"edge{n:02}.contoso.net",
            internal=tuple(address + n for address in first.internal),
            access=replace(first.access, public=tuple(address + 100 + n for address in first.access.public)),
        )
        for n in range(1, 21)
    )
    return replace(topology, edge_pools=(replace(pool, members=members),))


def pools(count: int, servers: int = 2) -> Topology:
    """Several Edge pools, which stand above one another, each with a next hop."""
    topology = load(CONTOSO)
    pool = topology.edge_pools[0]
    made = (replace(pool, fqdn=f"edge{n}.contoso.net", members=pool.members[:1] * servers) for n in range(count))
    return replace(topology, edge_pools=tuple(made))


def imported() -> Topology:
    """The sample of a deployed topology, its TODO filled in where a value is asked for."""
    text = import_topology((Path(__file__).parent / "deployed/contoso-topology.xml").read_bytes(), "x").text
    numbers = iter(range(10, 99))
    text = text.replace("[TODO]", "[10.0.0.0/8]").replace("public: TODO", "public: 203.0.113.90")
    text = re.sub(r"fqdn: TODO", "fqdn: rp.perimeter.contoso.com", text)
    text = re.sub(r": TODO(?=$| )", lambda _: f": 10.0.0.{next(numbers)}", text, flags=re.MULTILINE)
    return read(text.encode(), "x")


def sites() -> list[Topology]:
    plans = [contoso_as(plan) for plan in ("hlb", "one-firewall", "no-director", "single-ip")]
    plans += [pools(1, 1), pools(5, 5), imported(), replace(load(CONTOSO), organization="多国籍 " * 40)]
    return [load(CONTOSO), twenty(), *plans, *(load(SITES / f"{name}.yaml") for name in NAMES)]


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization)
def test_every_declared_address_is_drawn(topology: Topology) -> None:
    drawn = scene(topology)
    text, picture = draw_text(drawn, 500), draw_svg(drawn)
    wanted = {str(entry.address) for entry in own_addresses(topology)}
    wanted |= {str(entry.network.network_address) for entry in (*client_networks(topology), *peer_networks(topology))}
    for address in wanted:
        assert address in text, address
        assert address in picture, address


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization)
def test_boxes_are_whole_and_apart(topology: Topology) -> None:
    for width in (60, 80, 500):
        for line in draw_text(scene(topology), width).splitlines():
            assert cells(line) <= width
            assert line.startswith("  │") == line.endswith("│")
    root = ElementTree.fromstring(draw_svg(scene(topology)))
    page = (float(root.attrib["width"]), float(root.attrib["height"]))
    boxes = [
        tuple(float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("class") in ("box", "wall", "none")
    ]
    assert len(boxes) > 5
    for place, (x, y, width, height) in enumerate(boxes):
        assert x >= 0
        assert x + width <= page[0]
        assert y + height <= page[1]
        for left, top, wide, high in boxes[place + 1 :]:
            apart = x + width <= left or left + wide <= x or y + height <= top or top + high <= y
            assert apart


Area = tuple[float, float, float, float]


def areas(root: ElementTree.Element, *classes: str) -> list[Area]:
    """(left, top, right, bottom) of rectangles."""
    found = []
    for rect in root.iter(f"{SVG}rect"):
        if rect.get("class") in classes:
            x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append((x, y, x + width, y + height))
    return found


def pieces(path: str) -> list[Area]:
    """The straight pieces of a line that is written with M, H and V."""
    found = []
    start, *moves = path.split()
    x, y = map(float, start.removeprefix("M").split(","))
    for move in moves:
        to = float(move[1:])
        end = (to, y) if move[0] == "H" else (x, to)
        found.append((min(x, end[0]), min(y, end[1]), max(x, end[0]), max(y, end[1])))
        x, y = end
    return found


def crossing(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization[:12])
def test_arrows_pass_through_nothing_that_is_written(topology: Topology) -> None:
    """Lines stay on the page, cross no box and no title, and each firewall that they pass they pass inside its ends."""
    drawn = scene(topology)
    root = ElementTree.fromstring(draw_svg(drawn))
    page = float(root.attrib["width"])
    boxes = [(left + 1, top + 1, right - 1, foot - 1) for left, top, right, foot in areas(root, "box")]
    titles = [
        (float(t.attrib["x"]), float(t.attrib["y"]) - 9, float(t.attrib["x"]) + 7.2 * cells(t.text or ""),
         float(t.attrib["y"]) + 2)
        for t in root.iter(f"{SVG}text")
        if t.get("class") in ("zone", "nonename")
    ]  # fmt: skip
    walls = areas(root, "wall", "none")
    ways = [way.attrib["d"] for way in root.iter(f"{SVG}path") if way.get("class") == "arrow"]
    assert len(ways) == len(drawn.arrows)
    for way in ways:
        for piece in pieces(way):
            assert 0 < piece[0] <= piece[2] < page
            assert not any(crossing(piece, box) for box in boxes)
            assert not any(crossing(piece, title) for title in titles if title[2] - title[0] < page / 2)
            for left, top, right, foot in walls:
                passed = piece[1] < foot and piece[3] > top
                assert not passed or left < piece[0] == piece[2] < right
    thick = [[(x - 2, y - 2, to_x + 2, to_y + 2) for x, y, to_x, to_y in pieces(way)] for way in ways]
    for place, one in enumerate(thick):  # two lines may cross, and never run on one another
        for other in thick[place + 1 :]:
            for a, b in ((a, b) for a in one for b in other if crossing(a, b)):
                assert (a[2] - a[0] > a[3] - a[1]) != (b[2] - b[0] > b[3] - b[1]), (a, b)


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization[:12])
def test_no_text_leaves_the_page(topology: Topology) -> None:
    root = ElementTree.fromstring(draw_svg(scene(topology)))
    page = float(root.attrib["width"])
    for text in root.iter(f"{SVG}text"):
        wide = 9.7 if text.get("class") == "title" else 7.23  # px a character of DejaVu Sans Mono at 16 and 12 px
        assert float(text.attrib["x"]) + wide * cells(text.text or "") <= page


def test_what_the_proxy_opens() -> None:
    """Path document 2.6: 4443 and 8080 of pools, 443 of Office Web Apps."""
    text = draw_text(scene(load(CONTOSO)), 100)
    assert "rp01.contoso.net ─▶ pool01.contoso.net: HTTPS 4443, HTTP 8080" in text
    assert "rp01.contoso.net ─▶ officewebapps01.contoso.net: HTTPS 443" in text


@pytest.mark.parametrize(
    ("plan", "changes", "ports"),
    [
        ("", {}, "ACCESS :443 :5061 :5269 "),
        ("single-ip", {}, "ACCESS :5061 :5269 "),
        ("", {"federation": False, "xmpp": XmppProxy()}, "ACCESS :443 "),
    ],
)
def test_ports_of_the_access_edge_follow_its_switches(plan: str, changes: dict[str, Any], ports: str) -> None:
    topology = contoso_as(plan)
    pool = replace(topology.edge_pools[0], **changes)
    assert ports + " " in draw_text(scene(replace(topology, edge_pools=(pool,))), 120)


def test_labels_stand_behind_the_boxes() -> None:
    """Their halo covers what is below them: the rim of the box that their arrow leaves must come later."""
    picture = draw_svg(scene(load(CONTOSO)))
    assert picture.rindex('class="label"') < picture.index('class="box"')


def test_a_narrow_terminal_shows_a_row_as_lines() -> None:
    lines = [line.strip(" │") for line in draw_text(scene(load(CONTOSO)), 80).splitlines()]
    place = lines.index("edge02")
    assert [line.split() for line in lines[place + 1 : place + 3]] == [
        ["ACCESS", ":443", ":5061", ":5269", "203.0.113.11", ">", "10.45.16.11"],
        ["MEETINGS", ":443", "203.0.113.21", ">", "10.45.16.21"],
    ]


def test_wide_and_combining_characters_take_their_cells() -> None:
    """UAX #11: ideographs are wide; a combining accent stands in the cell of its letter."""
    assert (cells("多国"), cells("e\u0301"), cells("ab")) == (4, 1, 2)
    others = (Neighbour("邮件服务器", (ip_address("10.45.16.50"),)), Neighbour("mail", (ip_address("10.45.16.51"),)))
    lines = draw_text(scene(replace(load(CONTOSO), others=others)), 100).splitlines()
    one, other = (next(line for line in lines if name in line) for name in ("邮件", "  │ mail"))
    assert cells(one) == cells(other)
    assert cells(one[: one.index("10.45")]) == cells(other[: other.index("10.45")])


def test_a_firewall_that_is_not_there_is_drawn_as_missing() -> None:
    text = draw_text(scene(load(SITES / "alpine.yaml")), 100)
    assert "no internal firewall is declared; sensors: inner-tap" in text


def test_text_of_the_file_does_no_harm() -> None:
    topology = replace(load(CONTOSO), organization='<script>alert("x")</script>&\u202e\x1b[2J')
    drawn = scene(topology)
    picture = draw_svg(drawn)
    root = ElementTree.fromstring(picture)
    assert not list(root.iter(f"{SVG}script"))
    assert "\u202e" not in picture
    assert "\x1b" not in picture + draw_text(drawn, 100)


def test_the_command(tmp_path: Path) -> None:
    picture = tmp_path / "contoso.svg"
    command = [sys.executable, "-m", "monitor.cli", "topology", "show", str(CONTOSO)]
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=env, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "edge02  203.0.113.11 > 10.45.16.11" in done.stdout
    assert "lsedge.contoso.net ─▶ dirpool01.contoso.net: SIP 5061" in done.stdout
    narrow = subprocess.run(command, capture_output=True, env={**env, "COLUMNS": "70"}, timeout=60, check=False)
    assert max(map(cells, narrow.stdout.decode().splitlines())) <= 70
    done = subprocess.run([*command, "--format", "svg", "--output", str(picture)], timeout=60, check=False)
    assert done.returncode == 0
    ElementTree.parse(picture)
