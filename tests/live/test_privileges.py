"""What a process gave up is gone: the kernel says so of every thread, and every way back is refused."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from monitor.exit_status import OperatorMistake
from monitor.live.privileges import User, drop, end_with_parent, first_refusal, named_user, way_to

NOBODY = named_user("nobody")
assert os.geteuid() == 0, "rights can only be given up by who has them: run these tests as root"


def in_child(work: str, user: User | None = NOBODY) -> Any:
    """Runs statements in a process that dropped its rights; gives what they leave in `answer`."""
    text = f"""
        import json, os, socket, subprocess, threading
        from monitor.live.privileges import User, drop
        user = {user!r}
        drop(user)
        {textwrap.indent(textwrap.dedent(work), " " * 8).strip()}
        print(json.dumps(answer))
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


STATUS = """
NAMES = "Uid", "Gid", "Groups", "NoNewPrivs", "Cap"
def status(place):
    lines = (line.split(":", 1) for line in open(place))
    return {name: value.split() for name, value in lines if name.startswith(NAMES)}
"""


@pytest.mark.parametrize("user", [NOBODY, None])
def test_every_thread_is_without_rights(user: User | None) -> None:
    """Also threads that are started later; bounding set included."""
    answer = in_child(
        STATUS
        + """
ready, over = threading.Barrier(3), threading.Event()
for _ in range(2): threading.Thread(target=lambda: (ready.wait(), over.wait())).start()
ready.wait()
answer = [status(f"/proc/self/task/{task}/status") for task in os.listdir("/proc/self/task")]
over.set()
""",
        user,
    )
    assert len(answer) >= 3
    for thread in answer:
        uid, gid = (user.uid, user.gid) if user else (0, 0)
        assert thread["Uid"] == [str(uid)] * 4
        assert thread["Gid"] == [str(gid)] * 4
        assert thread["NoNewPrivs"] == ["1"]
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(thread[name][0], 16) == 0, name
    if user:
        assert {tuple(thread["Groups"]) for thread in answer} == {(str(user.gid),)}


@pytest.mark.parametrize("user", [NOBODY, None])
def test_there_is_no_way_back(user: User | None) -> None:
    """A raw socket, another user, a tap, and what a child that is started as root's program may do."""
    answer = in_child(
        """
        def refused(what):
            try:
                what()
            except PermissionError:
                return True
            return False
        answer = {
            "socket": refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)),
            "user": refused(lambda: os.setresuid(1, 1, 1)),
            "groups": refused(lambda: os.setgroups([1])),
            "folder": refused(lambda: os.chroot("/")),
            "child": int(subprocess.check_output(["sed", "-n", "s/^CapEff://p", "/proc/self/status"]), 16),
        }
        """,
        user,
    )
    assert answer == {"socket": True, "user": True, "groups": True, "folder": True, "child": 0}


def test_a_user_who_is_not_there() -> None:
    with pytest.raises(OperatorMistake, match="useradd --system --no-create-home --shell /usr/sbin/nologin nosuch"):
        named_user("nosuch")


def test_a_second_thread_is_refused() -> None:
    code = (
        "import threading; from monitor.live.privileges import drop; over = threading.Event()\n"
        "threading.Thread(target=over.wait, daemon=True).start()\n"
        "try: drop(None)\n"
        "except AssertionError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def test_where_a_user_may_write(place: Path) -> None:
    made = place / "a" / "b"
    made.mkdir(parents=True)
    assert first_refusal(NOBODY, way_to(str(made), os.X_OK)) is None
    assert first_refusal(NOBODY, way_to(str(made), os.W_OK)) == str(made)
    os.chown(made, NOBODY.uid, NOBODY.gid)
    assert first_refusal(NOBODY, way_to(str(made), os.W_OK)) is None
    made.parent.chmod(0o700)
    assert first_refusal(NOBODY, way_to(str(made), os.W_OK)) == str(made.parent)
    assert os.geteuid() == 0


def test_a_group_that_is_not_the_first_counts(place: Path) -> None:
    """The kernel asks for membership, not for the group that stands first; a made-up entry with another first group."""
    user = User("nobody", NOBODY.uid, pwd.getpwnam("daemon").pw_gid)
    folder = place / "shared"
    folder.mkdir()
    os.chown(folder, 0, user.gid)
    folder.chmod(0o070)
    assert first_refusal(user, way_to(str(folder), os.W_OK)) is None


def test_a_child_ends_with_its_parent() -> None:
    reading, writing = os.pipe()
    middle = os.fork()
    if middle == 0:
        parent = os.getpid()
        child = os.fork()
        if child == 0:
            drop(NOBODY)
            signal.signal(signal.SIGTERM, lambda *_: (os.write(writing, b"told"), os._exit(0)))
            end_with_parent(parent)
            os.write(writing, b"up")
            while True:
                signal.pause()
        signal.pause()
    os.close(writing)
    assert os.read(reading, 2) == b"up"
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    assert os.read(reading, 4) == b"told"
    assert os.read(reading, 1) == b""
    os.close(reading)
