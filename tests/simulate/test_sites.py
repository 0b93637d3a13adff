"""Casting: the same tables on other sites, and sites that cannot be cast."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import monitor.simulate
from monitor.simulate.captures import simulate
from monitor.simulate.cast import Cast
from rules.load import load
from tests.simulate.sites import CONTOSO as SITE
from tests.simulate.sites import ROOT, SMALL_SITE


def strings(part_words: str, cast: Cast, *, inside: bool = False) -> list[str]:
    return [str(address) for address in cast.part(part_words).seen(inside)]


def test_roles_of_contoso() -> None:
    """Addresses as the worked example of the vendor's documentation names them."""
    cast = Cast(load(SITE))
    assert strings("edge 1 access", cast) == ["203.0.113.10"]
    assert strings("edge 1 access", cast, inside=True) == ["10.45.16.10"]
    assert strings("edge 2 av", cast) == ["203.0.113.31"]
    assert strings("edge 2 internal", cast) == ["172.25.33.11"]
    assert strings("next hop 1", cast) == ["192.168.10.50"]
    assert strings("front end 2", cast) == ["192.168.10.91"]
    assert strings("front end web", cast) == ["192.168.10.95"]
    assert strings("director web", cast) == ["192.168.10.55"]
    assert strings("configuration master", cast) == ["192.168.10.90"]
    assert strings("partner av", cast) == ["198.51.100.30"]
    assert strings("old partner av", cast) == ["198.51.100.41"]
    assert strings("xmpp partner", cast) == ["198.51.100.69"]
    assert strings("admin station", cast) == ["192.168.10.200"]
    assert strings("egress", cast) == ["203.0.113.200"]
    assert strings("remote user", cast)[0] == "192.0.2.25"
    assert cast.port("client sip") == 443
    assert cast.port("relay") == 50380


def site(tmp_path: Path, change: Callable[[str], str]) -> Path:
    path = tmp_path / "topology.yaml"
    path.write_text(change(SITE.read_text()))
    return path


def test_a_stranger_never_has_a_declared_address(tmp_path: Path) -> None:
    taken = site(tmp_path, lambda text: text.replace("198.51.100.69", "192.0.2.25"))
    cast = Cast(load(taken))
    assert strings("remote user", cast)[0] != "192.0.2.25"
    address = ipaddress.ip_address(strings("remote user", cast)[0])
    assert load(taken).zone_of(address) == "external"


def test_unknown_words_are_refused() -> None:
    cast = Cast(load(SITE))
    with pytest.raises(ValueError, match="no such role: 'edge 1 kitchen'"):
        cast.part("edge 1 kitchen")
    with pytest.raises(ValueError, match="no such port: 'back door'"):
        cast.port("back door")


def test_another_site(tmp_path: Path) -> None:
    """No Director, no proxy, no partners, no translation, IPv6 inside, another relay range."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_SITE)
    result = monitor.simulate.run(path, tmp_path / "out", violations=True)
    skipped = {each["scenario"]: each["why"] for each in result["skipped"]}
    expected = json.loads((tmp_path / "out" / "expected.json").read_text())
    flows = {flow["scenario"]: flow for capture in expected["captures"].values() for flow in capture["flows"]}
    assert skipped["edge-to-director"] == "the site is not: director"
    assert skipped["published-web"] == "no reverse proxy is declared"
    assert skipped["xmpp-partner-in"] == "the site is not: xmpp"
    assert skipped["partner-signalling-in"] == "the site is not: federation"
    assert not set(skipped) & set(flows)
    hop = flows["edge-to-front-end-next-hop"]
    assert (hop["source"]["ip"], hop["destination"]) == ("2001:db8:bbbb::10", {"ip": "2001:db8:cccc::20", "port": 5061})
    assert flows["remote-sign-in"]["destination"] == {"ip": "203.0.113.130", "port": 443}
    assert flows["internet-to-front-end-sip"]["source"]["ip"].startswith("2001:db8:2::")
    assert flows["inside-media-tcp"]["destination"] == {"ip": "2001:db8:bbbb::10", "port": 443}
    assert "logging-3" in flows
    for capture in result["captures"]:
        count = subprocess.run(
            ["tshark", "-r", str(tmp_path / "out" / capture["name"]), "-o", "tcp.check_checksum:TRUE",
             "-o", "udp.check_checksum:TRUE", "-T", "fields", "-e", "tcp.checksum.status", "-e", "udp.checksum.status"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        assert "1" in count
        assert "0" not in count, capture["name"]  # 2: cannot be checked, as of a datagram quoted by an ICMP error


def test_clean_alone(tmp_path: Path) -> None:
    result = simulate(load(SITE), tmp_path, False)
    assert {capture.kind for capture in result.captures} == {"clean"}
    assert {each.name for each in tmp_path.iterdir()} == {
        "clean-external.pcapng",
        "clean-internal.pcapng",
        "expected.json",
    }


def run(topology: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor.simulate", "--topology", str(topology), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_a_faulty_topology_is_refused(tmp_path: Path) -> None:
    done = run(site(tmp_path, lambda text: text.replace("organization:", "organisation:")), tmp_path / "out")
    assert done.returncode == 2
    assert "organisation" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_process_is_ours_to_start(tmp_path: Path) -> None:
    with pytest.raises(monitor.simulate.SimulationFailed, match="no such topology file") as failed:
        monitor.simulate.run(tmp_path / "none.yaml", tmp_path / "out", violations=False)
    assert failed.value.mistake


def test_scapy_stays_in_its_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import monitor.simulate, sys; sys.exit('scapy' in sys.modules)"],
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0
