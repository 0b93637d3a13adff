"""A server in a zone of another role, or in no declared network, is told at its line, by `topology check` and by
audits, and plans that are so on purpose hear nothing.

The right zones are those of the component table of the path document (1.1, 1.2); the places were counted by hand in
the small texts that are put into the worked example."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli import main
from rules.load import load, read
from rules.placement import MAX_NAMED, misplaced, unplaced
from rules.template import TEMPLATE
from tests.topology.plans import CONTOSO, contoso_as
from tests.topology.site import SITE

ROOT = Path(__file__).parents[2]
SITES = sorted(path for path in (ROOT / "tests/sites").glob("*.yaml") if not path.name.endswith(".flows.yaml"))
PERIMETER = ("perimeter-int: [172.25.33.0/24]", "perimeter-int: [172.25.99.0/24]")
INSIDE = ("internal: [192.168.0.0/16]", "internal: [192.168.0.0/16, 172.25.33.0/24]")


def changed(*changes: tuple[str, str]) -> str:
    text = CONTOSO.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def told(*changes: tuple[str, str]) -> list[str]:
    return [fault.message for fault in misplaced(read(changed(*changes).encode(), "site.yaml"))]


@pytest.mark.parametrize("path", [CONTOSO, *SITES], ids=lambda path: path.stem)
def test_sites_that_stand_where_they_should(path: Path) -> None:
    assert misplaced(load(path)) == unplaced(load(path)) == ()


@pytest.mark.parametrize("plan", ["single-ip", "hlb", "one-firewall", "no-director", "sfb-2019"])
def test_other_plans_of_the_worked_example(plan: str) -> None:
    assert misplaced(contoso_as(plan)) == unplaced(contoso_as(plan)) == ()


def test_drafts_to_start_from_hear_nothing() -> None:
    for text in (TEMPLATE, SITE):
        assert unplaced(read(text.encode(), "site.yaml", known_rules={"unlisted-path"})) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("fe01.contoso.net, address: 192.168.10.90", "fe01.contoso.net, address: 172.25.33.90")], "fe01.contoso.net"),
        ([("vip: 192.168.10.55", "vip: 172.25.33.55")], "172.25.33.55 of dirpool01.contoso.net (web-vip)"),
        ([("sba01.contoso.net, address: 192.168.30.10", "sba01.contoso.net, address: 172.25.33.9")], "sba01"),
        ([("internal: 172.25.33.40", "internal: 192.168.10.44")], "192.168.10.44 of rp01.contoso.net (rp-int) is in"),
        ([("internal: 172.25.33.40", "internal: 10.45.16.41")], "10.45.16.41 of rp01.contoso.net (rp-int) is in"),
        (
            [("webconf: {public: 203.0.113.20, private: 10.45.16.20}", "webconf: {public: 192.168.10.20}")],
            "192.168.10.20 of edge01.contoso.net (edge-ext-webconf) is in zone internal",
        ),
        ([("access: [198.51.100.10]", "access: [192.168.10.77]")], "192.168.10.77 of sip.litware.com is in zone int"),
        ([("egress: [203.0.113.200]", "egress: [192.168.1.1]")], "192.168.1.1 of clients.egress is in zone internal"),
    ],
)
def test_one_address_astray(changes: list[tuple[str, str]], words: str) -> None:
    (message,) = told(*changes)
    assert words in message


@pytest.mark.parametrize(
    "changes",
    [
        # documented where domain membership is acceptable there (component table, `owas`)
        [("officewebapps01.contoso.net, address: 192.168.10.60", "officewebapps01.contoso.net, address: 172.25.33.60")],
        # a proxy with one interface
        [("external: {public: 203.0.113.40, private: 10.45.16.40}\n    internal: 172.25.33.40",
          "external: {public: 203.0.113.40, private: 172.25.33.40}\n    internal: 172.25.33.40")],
        # an Edge Server with both addresses in one network: `edge-same-subnet` says it
        [("internal: 172.25.33.10\n", "internal: 10.45.16.200\n")],
        # one firewall: the inner side of the perimeter hosts may stand in the network inside
        [("  internal: {addresses: [172.25.33.1, 192.168.10.1]}\n", ""), PERIMETER, INSIDE],
        # three legs: one device, the same addresses under both names
        [("{addresses: [172.25.33.1, 192.168.10.1]}", "{addresses: [203.0.113.1, 10.45.16.1]}")],
        # the LAN behind an address of the perimeter's network, or of the firewall itself
        [("egress: [203.0.113.200]", "egress: [203.0.113.100]")],
        [("egress: [203.0.113.200]", "egress: [203.0.113.1]")],
    ],
)  # fmt: skip
def test_designs_that_are_meant(changes: list[tuple[str, str]]) -> None:
    assert told(*changes) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "fe02.contoso.net, address: 192.168.10.91",
            "fe02.contoso.net, address: 193.168.10.91",
            "193.168.10.91 of fe02.contoso.net (fe) is in no network of zones, taken for internal by role "
            "(correct it, or add its network to zones.internal, such as 193.168.10.91/32)",
        ),
        (
            "vip: 192.168.10.95",
            "vip: 192.0.2.95",
            "192.0.2.95 of pool01.contoso.net (web-vip) is in no network of zones, taken for internal by role",
        ),
        (
            "internal: 172.25.33.40",
            "internal: 172.29.33.40",
            "172.29.33.40 of rp01.contoso.net (rp-int) is in no network of zones, taken for perimeter-int by role "
            "(correct it, or add its network to zones.perimeter-int, such as 172.29.33.0/24)",
        ),
        # around a public address are other people's
        (
            "access: {public: 203.0.113.10,",
            "access: {public: 198.51.100.99,",
            "198.51.100.99 of edge01.contoso.net (edge-ext-access) is in no network of zones, taken for perimeter-ext "
            "by role (correct it, or add its network to zones.perimeter-ext, such as 198.51.100.99/32)",
        ),
        (
            "lan: [192.168.20.0/24]",
            "lan: [10.20.0.0/16]",
            "10.20.0.0/16 of clients.lan is in no network of zones, so not inside "
            "(correct it, or add its network to zones.internal, such as 10.20.0.0/16)",
        ),
        (
            "admin: [192.168.10.200]",
            "admin: [8.8.8.8]",
            "8.8.8.8 of clients.admin is in no network of zones, so not inside "
            "(correct it, or add its network to zones.internal, such as 8.8.8.8/32)",
        ),
    ],
)
def test_one_address_in_no_network(old: str, new: str, words: str) -> None:
    (fault,) = unplaced(read(changed((old, new)).encode(), "site.yaml"))
    before, _, _rest = changed((old, new)).partition(new)
    line, address = before.count("\n") + 1, words.split(" ", 1)[0]
    column = len(before.rpartition("\n")[2]) + new.index(address) + 1
    assert str(fault).startswith(f"site.yaml:{line}:{column}: {words}")
    assert told((old, new)) == []


def test_many_in_no_network_are_one_sentence_a_zone() -> None:
    text = changed(("perimeter-ext: [203.0.113.0/25, 10.45.16.0/24]", "perimeter-ext: [10.45.16.0/24]"))
    (fault,) = unplaced(read(text.encode(), "site.yaml"))  # two Edge Servers with three addresses each, and the proxy
    assert fault.message.count("203.0.113.") == 7 <= MAX_NAMED
    assert fault.message.endswith("are in no network of zones, taken for perimeter-ext by role")
    assert "zones.perimeter-ext, such as 203.0.113.10/32, 203.0.113.20/32" in fault.hint
    text = changed(("internal: [192.168.0.0/16]", "internal: [192.168.20.0/23]"))
    sentences = [fault.message for fault in unplaced(read(text.encode(), "site.yaml"))]
    # inside: five servers, two VIPs, Office Web Apps, the branch; an administrator of two networks
    assert [s for s in sentences if ", 1 more are in no network of zones, taken for internal by role" in s]
    assert [s for s in sentences if s.startswith("192.168.10.200 of clients.admin is in no network")]
    assert len(sentences) == 2


def test_a_client_network_may_be_made_of_several_declared_ones() -> None:
    halves = ("internal: [192.168.0.0/16]", "internal: [192.168.0.0/17, 192.168.128.0/17]")
    wide = ("lan: [192.168.20.0/24]", "lan: [192.168.0.0/16]")
    assert unplaced(read(changed(halves, wide).encode(), "site.yaml")) == ()
    (fault,) = unplaced(read(changed(wide, (halves[0], "internal: [192.168.0.0/17]")).encode(), "site.yaml"))
    assert fault.message == "192.168.0.0/16 of clients.lan is in no network of zones, so not inside"


def test_check_and_audit_tell_of_an_address_in_no_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "slip.yaml"
    site.write_text(changed(("fe02.contoso.net, address: 192.168.10.91", "fe02.contoso.net, address: 193.168.10.91")))
    assert main(["topology", "check", str(site)]) == 0, "no finding about the design"
    out = capfd.readouterr().out
    assert f"warning: {site}:" in out
    assert "193.168.10.91 of fe02.contoso.net (fe) is in no network of zones" in out
    assert out.endswith("0 findings about the design, some addresses in no network of zones\n")
    main(["audit", "--topology", str(site), f"internal={ROOT / 'pcaps/clean-internal.pcapng'}"])
    err = capfd.readouterr().err
    assert "193.168.10.91 of fe02.contoso.net (fe) is in no network of zones" in err
    assert "what the true address sends is judged as a stranger's" in err


def test_the_check_says_each_at_its_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "swap.yaml"
    site.write_text(changed(PERIMETER, INSIDE))
    assert main(["topology", "check", str(site)]) == 0, "no finding about the design"
    out = capfd.readouterr().out
    lines = site.read_text().splitlines()
    for address in ("172.25.33.10", "172.25.33.11", "172.25.33.40"):
        line = next(number for number, text in enumerate(lines, 1) if f"internal: {address}" in text)
        place = f"{site}:{line}:{lines[line - 1].index(address) + 1}:"
        assert f"warning: {place} {address} of " in out
    assert "(an address in perimeter-int; correct it, or the networks under zones)" in out
    assert "no faults, 0 findings about the design, 3 addresses in a zone of another role" in out


def test_an_audit_says_that_it_judges_less(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "swap.yaml"
    site.write_text(changed(PERIMETER, INSIDE))
    capture = str(ROOT / "pcaps/clean-internal.pcapng")
    main(["audit", "--topology", str(site), f"internal={capture}"])
    err = capfd.readouterr().err
    assert "172.25.33.10 of edge01.contoso.net (edge-int) is in zone internal" in err
    assert "and 2 more; edgewarden topology check lists them: much of the traffic there is out of scope" in err
    main(["audit", "--topology", str(CONTOSO), f"internal={capture}"])
    assert "is in zone" not in capfd.readouterr().err
