"""Rights that a process gives up for good: user, groups, capabilities, and the way back to them.

Strategy: `drop` runs in a process that has one thread and has imported nothing that starts another, since each thread
has credentials of its own. It takes all there is to take (bounding and ambient sets, root's claim to capabilities,
setuid programs), then reads from /proc what is left and refuses to go on with more than nothing. Standard library only.

capabilities(7), credentials(7), prctl(2). What the C library has no function for goes by number: linux/capability.h.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.exit_status import OperatorMistake

SERVICE_USER: Final = "edgewarden"
"""Whom workers become when they were started as root and nobody else was named."""

ADD_USER: Final = "useradd --system --no-create-home --shell /usr/sbin/nologin"

# linux/prctl.h, linux/securebits.h, linux/capability.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_NOROOT_LOCKED: Final = 0b00000011  # SECBIT_NOROOT: to be user 0 gives no capability; and so it stays
_CAPABILITY_VERSION_3: Final = 0x20080522
_CAP_SETGID: Final = 6
_CAP_SETUID: Final = 7
_CAP_SETPCAP: Final = 8

_NONE: Final = 255  # of places, none; more of them than an exit status can tell nobody asks about


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: int
    gid: int


class RightsLeft(Exception):
    """The kernel did not take what was given up: a defect, or a sandbox in the way."""


def named_user(name: str) -> User:
    """Raises OperatorMistake where the machine has no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise OperatorMistake(f"the machine has no user {name}: {ADD_USER} {name}") from None
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid)


def service_user() -> User | None:
    """SERVICE_USER, where the machine has it."""
    try:
        return named_user(SERVICE_USER)
    except OperatorMistake:
        return None


def may_change_user() -> bool:
    """Whether root has kept, in a container or under a service manager, what it takes to become somebody else."""
    held = _capabilities()["CapEff"]
    return all(held >> number & 1 for number in (_CAP_SETGID, _CAP_SETUID))


def drop(user: User | None) -> None:
    """Become `user` (None: stay who we are) without any right that root has, now and later.

    Raises RightsLeft, and PermissionError where we may not become that user.
    """
    assert len(os.listdir("/proc/self/task")) == 1, "a second thread would keep its rights"
    if _capabilities()["CapEff"] >> _CAP_SETPCAP & 1:  # without it, no_new_privs alone keeps us from gaining any
        for number in range(_last_capability() + 1):
            _prctl(_PR_CAPBSET_DROP, number)
        _prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED)
    if user is not None:
        _become(user)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _clear_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)  # no debugger, no core file with other people's traffic
    left = _capabilities()
    if any(left[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")) or left["NoNewPrivs"] != 1:
        raise RightsLeft(f"the kernel left rights that were given up: {left}")
    if user is not None and (os.getresuid(), os.getresgid()) != ((user.uid,) * 3, (user.gid,) * 3):
        raise RightsLeft(f"the kernel did not make us user {user.name}")


def first_refusal(user: User, wanted: Sequence[tuple[str, int]]) -> str | None:
    """The first of these places (with what is wanted there: os.R_OK, W_OK, X_OK) that `user` may not have like that;
    None where all is well. A child asks the kernel, which alone knows groups, access lists and mounts."""
    child = os.fork()
    if child == 0:
        try:
            _become(user)
            refused = (number for number, (place, mode) in enumerate(wanted) if not os.access(place, mode))
            os._exit(min(next(refused, _NONE), _NONE))
        finally:
            os._exit(0)
    answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if answer == _NONE else wanted[answer][0]


def way_to(folder: str, mode: int) -> list[tuple[str, int]]:
    """What `first_refusal` is to ask about a folder: to enter each one on the way, and there `mode`."""
    places = [(folder, mode | os.X_OK)]
    while (parent := os.path.dirname(places[0][0])) != places[0][0]:
        places.insert(0, (parent, os.X_OK))
    return places


def _become(user: User) -> None:
    os.setgroups(os.getgrouplist(user.name, user.gid))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def end_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Be told when the parent dies; call it after `drop`, as a change of user forgets it."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before
        os.kill(os.getpid(), number)


def _capabilities() -> dict[str, int]:
    """Cap* and NoNewPrivs of this process."""
    found = {}
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.startswith("Cap"):
                found[name] = int(value, 16)
            elif name == "NoNewPrivs":
                found[name] = int(value)
    return found


def _last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def _clear_capabilities() -> None:
    """capset(2): header (version, process), then effective, permitted, inheritable, each twice 32 bits."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    if _C.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, argument: int) -> None:
    if _C.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


_C: Final = ctypes.CDLL(None, use_errno=True)
