"""The drawing of a site: nothing that is declared is missing, nothing overlaps, and no text of the file does harm."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from reports.drawing import draw_text, scene
from reports.drawing_svg import draw_svg
from rules.declared import client_networks, own_addresses, peer_networks
from rules.load import load
from rules.topology import Topology
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


def sites() -> list[Topology]:
    return [load(CONTOSO), twenty(), *(load(SITES / f"{name}.yaml") for name in NAMES)]


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization)
def test_every_declared_address_is_drawn(topology: Topology) -> None:
    drawn = scene(topology)
    text, picture = draw_text(drawn), draw_svg(drawn)
    wanted = {str(entry.address) for entry in own_addresses(topology)}
    wanted |= {str(entry.network.network_address) for entry in (*client_networks(topology), *peer_networks(topology))}
    for address in wanted:
        assert address in text, address
        assert address in picture, address


@pytest.mark.parametrize("topology", sites(), ids=lambda topology: topology.organization)
def test_boxes_are_whole_and_apart(topology: Topology) -> None:
    for line in draw_text(scene(topology)).splitlines():
        if line.startswith("  │"):
            assert line.endswith("│")
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


def test_a_firewall_that_is_not_there_is_drawn_as_missing() -> None:
    text = draw_text(scene(load(SITES / "alpine.yaml")))
    assert "no internal firewall is declared; sensors: inner-tap" in text


def test_text_of_the_file_does_no_harm() -> None:
    topology = replace(load(CONTOSO), organization='<script>alert("x")</script>&\u202e\x1b[2J')
    drawn = scene(topology)
    picture = draw_svg(drawn)
    root = ElementTree.fromstring(picture)
    assert not list(root.iter(f"{SVG}script"))
    assert "\u202e" not in picture
    assert "\x1b" not in picture + draw_text(drawn)


def test_the_command(tmp_path: Path) -> None:
    picture = tmp_path / "contoso.svg"
    command = [sys.executable, "-m", "monitor.cli", "topology", "show", str(CONTOSO)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "edge02  203.0.113.11 > 10.45.16.11" in done.stdout
    assert "lsedge.contoso.net ─▶ dirpool01.contoso.net: SIP 5061" in done.stdout
    done = subprocess.run([*command, "--format", "svg", "--output", str(picture)], timeout=60, check=False)
    assert done.returncode == 0
    ElementTree.parse(picture)
