"""`edgewarden sensor` as a process: judges as the audit of what tcpdump heard does, and works without any right."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.live.ring import BLOCK, BLOCKS
from tests.house.captures import BROKEN, CLEAN, ROOT, TOPOLOGY
from tests.live.process import EDGEWARDEN, Running, lengths, send
from tests.live.wire import FAR, NEAR, command, frame, speaker, wait_for

pytestmark = pytest.mark.usefixtures("wire")


@pytest.fixture
def sensor(place: Path) -> Iterator[Any]:
    """Starts sensors at `far`, and waits until they listen."""
    started: list[Running] = []

    def start(*words: str, interface: str = FAR, said: str = "listening to") -> Running:
        started.append(
            Running(place, "sensor", "--topology", TOPOLOGY, "--interface", interface, "--position", "external", *words)
        )
        started[-1].says(said)
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def asked(record: Path, capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The findings of a record, without what names files and frames."""
    capfd.readouterr()
    assert main(["findings", "--store", f"sqlite:///{record}", "--format", "json"]) == 0
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)["findings"]
    kept = ("id", "rule", "severity", "position", "flows", "packets", "bytes", "first", "last", "reason", "ports")
    return [{key: finding[key] for key in kept} for finding in found]


def test_live_is_as_the_audit_of_what_tcpdump_heard(
    sensor: Any, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    heard = place / "heard.pcap"
    running = sensor("--store", f"sqlite:///{place}/live.db")
    words = ["tcpdump", "-Z", "root", "--nano", "-B", "65536", "-U", "-i", FAR, "-w", str(heard)]
    dump = subprocess.Popen(words, stderr=subprocess.PIPE)
    assert dump.stderr is not None
    assert any(b"listening" in line for line in dump.stderr)
    send(CLEAN["external"], BROKEN["external"])
    sent = [length for name in (CLEAN, BROKEN) for length in lengths(name["external"])]
    wait_for(lambda: heard.stat().st_size == 24 + sum(16 + length for length in sent))
    dump.terminate()
    dump.wait(20)
    assert running.end() == 0
    assert main(["audit", "--topology", TOPOLOGY, "--store", f"sqlite:///{place}/audit.db", f"external={heard}"]) == 1
    live, audit = asked(place / "live.db", capfd), asked(place / "audit.db", capfd)
    assert len(live) > 10
    assert live == audit
    assert "0 packets lost" in running.told()


STATUS = ("Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")


@pytest.mark.parametrize("named", [True, False])
def test_no_thread_that_works_on_packets_has_rights(sensor: Any, place: Path, named: bool) -> None:
    words = ["--user", "nobody"] if named else []
    record = place / ("theirs" if named else ".") / "record.db"
    running = sensor("--store", f"sqlite:///{record}", *words)
    send(BROKEN["external"])
    [worker] = running.workers()
    threads = list(Path(f"/proc/{worker}/task").iterdir())
    assert len(threads) > 1, "pyarrow has threads"
    for thread in threads:
        lines = [line.split() for line in (thread / "status").read_text().splitlines()]
        status = {line[0].rstrip(":"): line[1:] for line in lines if line}
        owner = "65534" if named else "0"
        assert [status[name] for name in STATUS] == [[owner] * 4] * 2 + [["0" * 16]] * 5 + [["1"]]
    assert running.end() == 0
    assert record.stat().st_uid == (65534 if named else 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_sent_before_the_signal_is_in_the_record(
    sensor: Any, place: Path, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    running = sensor("--store", f"sqlite:///{place}/record.db")
    send(BROKEN["external"])
    assert running.end(number) == 0
    assert packets(running.told()) == len(lengths(BROKEN["external"]))
    assert asked(place / "record.db", capfd)


def packets(told: str) -> int:
    """The number in the line of figures at the end."""
    [line] = [line for line in told.splitlines() if " lost" in line]
    return int(line.split(" packets")[0].rsplit(" ", 1)[1].replace(",", ""))


def test_the_time_that_was_asked_for(sensor: Any, place: Path) -> None:
    running = sensor("--store", f"sqlite:///{place}/record.db", "--for", "1")
    assert running.process.wait(30) == 0


def test_a_filter_in_the_kernel(sensor: Any, place: Path) -> None:
    expected = subprocess.run(
        ["tcpdump", "-r", BROKEN["external"], "--count", "tcp port 443"], capture_output=True, text=True, check=True
    )
    running = sensor("--store", f"sqlite:///{place}/record.db", "--filter", "tcp port 443")
    send(BROKEN["external"])
    assert running.end() == 0
    assert packets(running.told()) == int(expected.stdout.split()[0]) > 0


@pytest.mark.parametrize("words", [[], ["--filter", "vlan 7 and tcp"]])
def test_a_tag_that_the_kernel_took_off_is_seen(sensor: Any, place: Path, words: list[str]) -> None:
    """The kernel hands the tag over beside the packet, whether a network card or itself has read it."""
    tagged = place / "tagged.pcap"
    tag = ["--enet-vlan=add", "--enet-vlan-tag=7", "--enet-vlan-cfi=0", "--enet-vlan-pri=0"]
    command("tcprewrite", *tag, "-i", BROKEN["external"], "-o", str(tagged))
    running = sensor("--store", f"sqlite:///{place}/record.db", *words)
    send(str(tagged), CLEAN["external"])
    assert running.end() == 0
    with sqlite3.connect(place / "record.db") as record:
        # The two captures show different certificates of one pool, which flows of both take part in.
        rows = record.execute(
            "SELECT sample FROM flows JOIN findings ON findings.id = finding "
            "WHERE sample != '' AND rule != 'cert-differs-in-pool'"
        ).fetchall()
    samples = [json.loads(text) for (text,) in rows]
    assert samples
    assert {sample["flow"]["network"]["vlan"]["id"] for sample in samples} == {7}


def test_two_interfaces_are_one_sensor(sensor: Any, place: Path) -> None:
    """Both ends of the wire hear every packet: the second time it is a duplicate."""
    running = sensor("--store", f"sqlite:///{place}/record.db", "--interface", NEAR)
    assert "listening to far, near as external (external)" in running.told()
    send(BROKEN["external"])
    assert running.end() == 0
    assert packets(running.told()) == 2 * len(lengths(BROKEN["external"]))


def test_a_killed_worker_is_a_failure_and_what_was_recorded_stays(
    sensor: Any, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = place / "record.db"
    running = sensor("--store", f"sqlite:///{record}")
    send(BROKEN["external"])
    wait_for(lambda: record.exists() and bool(asked(record, capfd)))
    os.kill(running.workers()[0], signal.SIGKILL)
    assert running.process.wait(30) == 4
    assert "the process that works on packets was killed by SIGKILL" in running.told()
    assert asked(record, capfd)


def test_what_the_kernel_had_to_drop_is_on_record_and_says_nothing_for_sure(sensor: Any, place: Path) -> None:
    """Half as much again as the ring holds, while nobody takes anything out of it."""
    record = place / "record.db"
    running = sensor("--store", f"sqlite:///{record}")
    [worker] = running.workers()
    os.kill(worker, signal.SIGSTOP)
    number = BLOCK * BLOCKS * 3 // 2 // 1400
    with speaker() as mouth:
        for count in range(number):
            mouth.send(frame(count, 1400))
    os.kill(worker, signal.SIGCONT)
    assert running.end() == 3
    assert "more than `policy.coverage` allows" in running.told()
    with sqlite3.connect(record) as asked:
        [(packets, dropped, accounting)] = asked.execute(
            "SELECT sum(packets), sum(kernel), sum(json_extract(accounting, '$.non_ip')) FROM coverage"
        )
    assert packets == accounting
    assert dropped > 0
    assert packets + dropped == number


def test_a_cluster_that_is_away_costs_the_shipping_and_not_what_was_heard(
    sensor: Any, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody answers in this namespace: all is in the spool, and the status says that it stayed there."""
    running = sensor("--store", "https://127.0.0.1:9200")
    send(BROKEN["external"])
    assert running.end() == 4
    [spool] = (place / "state" / "edgewarden").glob("spool-*.db")
    assert f"what was recorded stays in {spool}" in running.told()
    assert asked(spool, capfd)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--interface", "eth77"], "eth77: no such interface on this machine (there are: far, lo, near)"),
        (["--filter", "tcp prot 443"], "syntax error"),
        (["--user", "nosuch"], "the machine has no user nosuch: useradd --system"),
        (["--user", "nobody"], "chown nobody "),
        (["--name", "unheard-of"], "where does it listen? Say --position"),
        (["--for", "-1"], "is no time above 0"),
        (["--store", "sqlite:////proc/record.db"], "/proc"),
    ],
)
def test_mistakes_are_told(place: Path, words: list[str], said: str) -> None:
    standard = {"--interface": FAR, "--position": "external", "--store": f"sqlite:///{place}/record.db"}
    if "--name" in words:
        del standard["--position"]
    options = [word for pair in standard.items() if pair[0] not in words for word in pair]
    running = Running(place, "sensor", "--topology", TOPOLOGY, *options, *words)
    assert running.process.wait(60) == 2
    assert said in running.told()
    assert "Traceback" not in running.told()


@pytest.mark.parametrize(
    ("right", "more", "said"),
    [
        ("net_raw", [], "needs CAP_NET_RAW: run it as root"),
        ("setuid", ["--user", "nobody"], "root may not become user nobody here: it lacks CAP_SETUID"),
    ],
)
def test_without_a_right_that_it_takes(place: Path, right: str, more: list[str], said: str) -> None:
    assert shutil.which("setpriv"), "setpriv takes a right away (apt-get install util-linux)"
    words = ["sensor", "--topology", TOPOLOGY, "--interface", FAR, "--position", "external", *more]
    without = ["setpriv", f"--bounding-set=-{right}", f"--inh-caps=-{right}", *EDGEWARDEN, *words]
    done = subprocess.run(
        [*without, "--store", f"sqlite:///{place}/record.db"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
