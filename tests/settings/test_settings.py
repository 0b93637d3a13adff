# ruff: noqa: E501  (the table of faults has one case a line)
"""Settings files: every key is read, every fault told at its place, what is not built refused, secrets never repeated.

In the table of faults ▸ stands where the fault must be reported; it is taken out before the text is read.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from monitor.calendar.cron import parse_cron
from monitor.calendar.schedule import Schedule
from monitor.settings.config import (
    Elasticsearch,
    EvidenceSettings,
    Log,
    Report,
    Settings,
    SettingsFaults,
    SettingsUnreadable,
    load,
    read,
    settings_schema,
)
from monitor.settings.keys import NOT_BUILT, SETTINGS
from monitor.settings.secret import Secret
from monitor.settings.template import TEMPLATE
from rules.shape import Either, Keys, Many, Shape
from tests.topology.site import SITE

EVERY_KEY = (Path(__file__).parent / "every_key.yaml").read_text(encoding="utf-8")
LIVE = SITE.replace("side: outside, vlans", "side: outside, interfaces: [eth1], vlans")
VALIDATOR = Draft202012Validator(settings_schema())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a topology whose sensor has an interface, under both names that the texts here use."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "site").mkdir()
    for name in ("topology.yaml", "site/topology.yaml"):
        (folder / name).write_text(LIVE, encoding="utf-8")
    return folder


def understood(text: str, site: Path) -> Settings:
    """As if every part were built."""
    return read(text.encode(), str(site / "s.yaml"), not_built=())


def told(text: str, site: Path, **options: Any) -> list[str]:
    """The faults, without the folder in front."""
    with pytest.raises(SettingsFaults) as error:
        read(text.encode(), str(site / "s.yaml"), **options)
    return [str(fault).removeprefix(f"{site}/") for fault in error.value.faults]


def test_every_key_is_understood(site: Path) -> None:
    found = understood(EVERY_KEY, site)
    berlin = ZoneInfo("Europe/Berlin")
    assert found.topology_file == site / "site/topology.yaml"
    assert found.topology.organization == "Example"
    assert found.store == f"{site}/record.db"
    assert found.elasticsearch == Elasticsearch(
        hosts=("https://es01.contoso.net:9200", "https://[2001:db8::1]:9200/es"),
        ca_certs=f"{site}/ca.pem",
        fingerprint=None,
        api_key=None,
        username="ew",
        password=Secret(file=f"{site}/es.key"),
        namespace="contoso",
        keep_flows=True,
    )
    assert found.evidence == EvidenceSettings(
        dir=f"{site}/slices",
        buffer=512 * 1024 * 1024,
        packets_per_flow=12,
        flows_per_finding=4,
        keep_days=30,
        snaplen=512,
        handshakes="headers",
        media="full",
        messages="full",
    )
    folders = (f"{site}/reports",)
    assert found.reports == (
        Report(Schedule("daily", "day", berlin, time(6)), ("html", "pdf", "csv", "json", "oscal"), folders),
        Report(Schedule("weekly", parse_cron("0 6 * * 1"), berlin), ("html",), folders),
        Report(Schedule("monthly", parse_cron("0 0 1 * *"), UTC), ("html",), folders),
    )
    assert found.user == "edgewarden"
    assert found.log == Log("json", "debug")


def test_what_is_left_out_has_the_documented_value(site: Path) -> None:
    """The defaults that the JSON Schema tells."""
    found = understood(MINIMAL, site)
    assert (found.store, found.elasticsearch, found.evidence) == (None, None, None)
    assert (found.reports, found.user, found.log) == ((), None, Log("text", "info"))
    found = understood(MINIMAL + "evidence: {}\nelasticsearch: {hosts: http://es, api_key_env: KEY}\n", site)
    assert found.evidence == EvidenceSettings(
        f"{site}/evidence", 256 * 1024 * 1024, 16, 8, 90, 256, "full", "headers", "redact"
    )
    assert found.elasticsearch == Elasticsearch(
        ("http://es",), None, None, Secret(env="KEY"), None, None, "default", False
    )


def test_a_place_from_the_root_stays_there(site: Path) -> None:
    found = understood(MINIMAL + "store: sqlite:////var/lib/edgewarden/record.db\nevidence: {dir: /var/x}\n", site)
    assert found.store == "/var/lib/edgewarden/record.db"
    assert found.evidence is not None
    assert found.evidence.dir == "/var/x"


def test_the_list_of_every_key_is_whole() -> None:
    """Each key of the description stands in every_key.yaml, but for those that exclude one that does."""
    excluded = {"elasticsearch.fingerprint", "elasticsearch.api_key_file", "elasticsearch.api_key_env"}
    excluded |= {"elasticsearch.password_env", "reports.deliver.mail.password_file", "alerts.webhook.hmac_env"}
    described: set[str] = set()
    written: set[str] = set()

    def describe(shape: Shape, prefix: str) -> None:
        if isinstance(shape, Many):
            describe(shape.item, prefix)
        elif isinstance(shape, Either):
            describe(shape.mapping, prefix)
        elif isinstance(shape, Keys):
            for key in shape.keys:
                described.add(prefix + key.name)
                describe(key.shape, f"{prefix}{key.name}.")

    def write(value: Any, prefix: str) -> None:
        if isinstance(value, list):
            for item in value:
                write(item, prefix)
        elif isinstance(value, dict):
            for name, inner in value.items():
                written.add(prefix + name)
                write(inner, f"{prefix}{name}.")

    describe(SETTINGS, "")
    write(YAML(typ="safe", pure=True).load(EVERY_KEY), "")
    assert described - written == excluded


def test_what_is_not_built_is_refused_at_its_place(site: Path) -> None:
    """Each entry of the list, where a reader of the file sees it."""
    expected = [
        ("keep_flows: ▸true", "keep_flows=true: "),
        ("formats: [html, ▸pdf, csv", "formats=pdf: "),
        ("formats: [html, pdf, csv, json, ▸oscal", "formats=oscal: "),
        ("- ▸mail:", "mail: "),
        ("\n▸alerts:", "alerts: "),
        ("\n▸retention:", "retention: "),
        ("\n▸listen:", "listen: "),
    ]
    lines = told(EVERY_KEY, site)
    assert len(lines) == len(expected) == len(NOT_BUILT)
    for line, (text, message) in zip(lines, expected, strict=True):
        before = EVERY_KEY[: EVERY_KEY.index(text.replace("▸", ""))] + text.split("▸")[0]
        place = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        assert line.startswith(f"s.yaml:{place[0]}:{place[1]}: {message}")
        assert "not " in line
        assert "yet" in line


def test_a_value_that_is_not_built_is_refused_in_any_spelling(site: Path) -> None:
    [line] = told(REPORT + "every: day, formats: pdf}\n", site)
    assert "s.yaml:4:36: formats=pdf: " in line
    [line] = told(ES + "hosts: https://e\n  keep_flows: True\n", site)
    assert line.startswith("s.yaml:5:15: keep_flows=true: ")
    read((ES + "hosts: https://e\n  keep_flows: false\n").encode(), str(site / "s.yaml"))


def test_the_template_needs_only_a_topology_beside_it(site: Path) -> None:
    assert read(TEMPLATE.encode(), str(site / "s.yaml")).reports == ()


def test_what_the_template_offers_is_served(site: Path) -> None:
    """Its commented keys, taken as they stand."""
    text = re.sub(r"^#(?=[a-z]|  - )", "", TEMPLATE, flags=re.MULTILINE)
    found = read(text.encode(), str(site / "s.yaml"))
    assert found.store == f"{site}/record.db"
    assert found.elasticsearch is not None
    assert found.evidence is not None
    assert [report.schedule.name for report in found.reports] == ["daily"]
    assert found.user == "edgewarden"


MINIMAL = "edgewarden: 1\ntopology: topology.yaml\n"
ES = MINIMAL + "elasticsearch:\n  "
REPORT = MINIMAL + "reports:\n  - {name: d, "
MAIL = REPORT + "every: day, deliver: [{mail: {server: m, from: a@b, to: c@d, "
ALERT = MINIMAL + "alerts:\n  - {"

FAULTS = [
    ("▸topology: topology.yaml\n", "edgewarden is missing"),
    ("▸edgewarden: 1\n", "topology is missing"),
    ("edgewarden: ▸2\ntopology: topology.yaml\n", "one of 1"),
    ("edgewarden: 1\ntopology: ▸none.yaml\n", "there is no such topology file"),
    ("edgewarden: 1\ntopology: ▸.\n", "this is a folder"),
    (MINIMAL + "▸stoer: x\n", 'did you mean "store"?'),
    (MINIMAL + "store: ▸postgres://x\n", "sqlite:///record.db"),
    # elasticsearch
    (ES + "▸ca_certs: x\n", "hosts is missing"),
    (ES + "hosts: ▸[]\n", "an empty list"),
    (ES + "hosts: ▸ftp://es01\n", "a URL such as"),
    (ES + "hosts: ▸es01:9200\n", "a URL such as"),
    (ES + "hosts: ▸https://es01:99999\n", "this is no URL"),
    (ES + "hosts: ▸https://ew:s3cr3t@es01\n", "a name or password in a URL (secrets stand in a file or the environment)"),
    (ES + "hosts: https://e\n  ▸password: s3cr3t\n", "a secret never stands in this file: password_file"),
    (ES + "hosts: https://e\n  ▸api_key: s3cr3t\n", "a secret never stands in this file: api_key_file"),
    (ES + "hosts: https://e\n  ca_certs: a\n  fingerprint: ▸" + "ab" * 32 + "\n", "fingerprint beside ca_certs (one of the two)"),
    (ES + "hosts: https://e\n  fingerprint: ▸" + "ab" * 31 + "\n", "64 hexadecimal digits"),
    (ES + "hosts: https://e\n  api_key_file: a\n  api_key_env: ▸B\n", "api_key_env beside api_key_file"),
    (ES + "hosts: https://e\n  username: ▸u\n", "a user name without a password"),
    (ES + "hosts: https://e\n  password_env: ▸U\n", "a password without a user name"),
    (ES + "hosts: https://e\n  api_key_env: K\n  username: ▸u\n  password_env: P\n", "username beside api_key_env"),
    (ES + "hosts: https://e\n  api_key_env: ▸a-b\n", "variable of the environment"),
    (ES + "hosts: https://e\n  namespace: ▸A B\n", "a word in lower case"),
    # sizes, durations, numbers
    (MINIMAL + "evidence: {buffer: ▸256MB}\n", "a size with its unit (KiB, MiB, GiB, TiB), 1MiB to 64GiB"),
    (MINIMAL + "evidence: {buffer: ▸256}\n", "a size with its unit"),
    (MINIMAL + "evidence: {buffer: ▸1023KiB}\n", "1MiB to 64GiB"),
    (MINIMAL + "evidence: {buffer: ▸65GiB}\n", "1MiB to 64GiB"),
    (MINIMAL + "evidence: {snaplen: ▸95}\n", "a whole number, 96 to 262144"),
    (MINIMAL + "evidence: {handshakes: ▸none}\n", "one of full, headers"),
    (MINIMAL + "retention: {flows: ▸30}\n", "a duration with its unit (s, m, h, d, w), 1d to 36500d"),
    (MINIMAL + "retention: {flows: ▸23h}\n", "1d to 36500d"),
    (MINIMAL + "retention: {flows: ▸1y}\n", "a duration with its unit"),
    (MINIMAL + "retention: {flows: ▸999999999w}\n", "1d to 36500d"),
    # reports
    (MINIMAL + "reports:\n  - ▸{every: day}\n", "name is missing"),
    (MINIMAL + "reports:\n  - {name: ▸../x, every: day}\n", "a word of letters"),
    (MINIMAL + "reports:\n  - {name: d, every: day}\n  - {name: ▸d, every: week}\n", 'report "d" stands twice (another name than in line 4)'),
    (MINIMAL + "reports:\n  - ▸{name: d}\n", "every is missing"),
    (REPORT + "every: ▸hour}\n", "one of day, week, month, quarter"),
    (REPORT + "every: ▸days}\n", 'did you mean "day"?'),
    (REPORT + 'cron: ▸"0 6 * *"}\n', "five fields"),
    (REPORT + 'every: {cron: ▸"0 6 * * 8"}}\n', "is no day of week: 0 to 7"),
    (REPORT + 'every: day, cron: ▸"0 6 * * 1"}\n', "cron beside every"),
    (REPORT + 'cron: "0 6 * * 1", at: ▸"06:00"}\n', "at beside a crontab line"),
    (REPORT + 'every: {cron: "0 6 * * 1"}, at: ▸"06:00"}\n', "at beside a crontab line"),
    (REPORT + 'every: day, at: ▸"24:00"}\n', "00:00 to 23:59"),
    (REPORT + "every: day, at: ▸6}\n", 'a time of day such as "06:00"'),
    (REPORT + "every: day, zone: ▸Berlin}\n", "IANA"),
    (REPORT + "every: day, zone: ▸CEST}\n", "IANA"),
    (REPORT + "every: day, formats: [html, ▸docx]}\n", "one of html, pdf, csv, json, oscal"),
    (REPORT + "every: day, deliver: [▸{}]}\n", "an empty mapping"),
    (REPORT + "every: day, deliver: ▸[]}\n", "an empty list"),
    (MAIL + "▸password: s3cr3t}}]}\n", "a secret never stands in this file: password_file"),
    (MAIL + "username: ▸u}}]}\n", "a user name without a password"),
    (MAIL + "port: ▸0}}]}\n", "1 to 65535"),
    (REPORT + "every: day, deliver: [{mail: {server: ▸127.0.0.300, from: a@b, to: c@d}}]}\n", "a host such as"),
    (REPORT + "every: day, deliver: [{mail: {server: m, from: ▸Edge Warden, to: c@d}}]}\n", "an address such as"),
    (REPORT + "every: day, deliver: [{folder: x, mail: ▸{server: m, from: a@b, to: c@d}}]}\n", "mail beside folder"),
    # alerts and the rest
    (MINIMAL + "alerts:\n  - ▸{min_severity: high}\n", "an alert that goes nowhere"),
    (ALERT + "min_severity: ▸grave, syslog: {address: 'h:1'}}\n", "one of critical, high, medium, low, info"),
    (ALERT + "syslog: {address: ▸h}}\n", "host and port such as"),
    (ALERT + "syslog: {address: 'h:1'}, webhook: ▸{url: 'https://h'}}\n", "webhook beside syslog"),
    (ALERT + "webhook: {url: ▸'http://h/x'}}\n", "begins with https://"),
    (ALERT + "webhook: {url: 'https://h/x', ▸hmac: s3cr3t}}\n", "a secret never stands in this file: hmac_file"),
    (MINIMAL + "listen: ▸9750\n", "host and port such as"),
    (MINIMAL + "listen: ▸127.0.0.1:65536\n", "host and port such as"),
    (MINIMAL + 'listen: ▸"::1:9750"\n', "host and port such as"),
    (MINIMAL + 'listen: ▸"[127.0.0.1]:9750"\n', "host and port such as"),
    (MINIMAL + "privileges: ▸{}\n", "user is missing"),
    (MINIMAL + "privileges: {user: ▸a b}\n", "the name of a user"),
    (MINIMAL + "log: {level: ▸loud}\n", "one of debug, info, warning, error"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAULTS, ids=[row[1][:40] for row in FAULTS])
def test_a_fault_is_told_at_its_place(text: str, message: str, site: Path) -> None:
    before, after = text.split("▸")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    [fault] = told(before + after, site, not_built=())
    assert fault.startswith(f"s.yaml:{line}:{column}: ")
    assert message in fault
    assert "s3cr3t" not in fault


def test_all_faults_at_once_with_those_of_the_topology(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(LIVE.replace("product: sfb-2015", "product: sfb2015"), encoding="utf-8")
    lines = told(MINIMAL + "log: {level: loud}\nlisten: 9750\n", tmp_path)
    places = [line.split(": ")[0] for line in lines]
    assert places == ["s.yaml:3:14", "s.yaml:4:1", "s.yaml:4:9", "topology.yaml:3:10"]


def test_a_site_without_an_interface_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(SITE, encoding="utf-8")
    [fault] = told(MINIMAL, tmp_path)
    assert fault.startswith("s.yaml:2:11: no sensor of topology.yaml names an interface")


def test_an_empty_key_says_nothing(site: Path) -> None:
    assert read((MINIMAL + "reports:\nalerts: ~\n").encode(), str(site / "s.yaml")).reports == ()


def test_places_start_at_the_folder_of_the_file(site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (site / "s.yaml").write_text(MINIMAL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load(site / "s.yaml").topology_file == site / "topology.yaml"
    monkeypatch.chdir(site / "site")
    assert load("../s.yaml").topology_file.resolve() == (site / "topology.yaml").resolve()


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_what_cannot_be_read_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsUnreadable, match="settings file"):
        load(f"{tmp_path}/{name}")


# --- the schema -------------------------------------------------------------------------------------------------------


def plain(text: str) -> Any:
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


def test_the_schema_is_one_and_takes_what_the_loader_takes(site: Path) -> None:
    Draft202012Validator.check_schema(settings_schema())
    for text in (EVERY_KEY, TEMPLATE, MINIMAL):
        assert list(VALIDATOR.iter_errors(plain(text))) == []
        understood(json.dumps(plain(text)), site)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in [(*path, key), *places(item, (*path, key))]]


WHOLE = plain(EVERY_KEY)
OTHER = st.one_of(
    st.sampled_from(["day", "6", "06:00", "256MiB", "1w", "https://h", "h:1", "UTC", "full", "", " ", "0 6 * * 1", {}, []]),
    st.booleans(),
    st.integers(-1, 70_000),
    st.text(max_size=10),
    st.lists(st.text(max_size=3), max_size=2),
)  # fmt: skip


@given(st.sampled_from(places(WHOLE)), OTHER)
@settings(max_examples=120, deadline=None)
def test_what_the_schema_refuses_the_loader_refuses(site: Path, place: tuple[Any, ...], value: Any) -> None:
    document = json.loads(json.dumps(WHOLE))
    target = document
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    try:
        understood(json.dumps(document), site)
    except SettingsFaults:
        return
    assert list(VALIDATOR.iter_errors(document)) == []


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_settings_or_told(site: Path, data: bytes) -> None:
    with pytest.raises(SettingsFaults):
        read(data, str(site / "s.yaml"))
