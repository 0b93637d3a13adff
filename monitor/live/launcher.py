"""The privileged part of live work: opens sockets, makes workers without rights, and waits for them.

Strategy: one thread, the standard library, no packet ever read here. A worker is a fork that goes on where `launch`
returns: it has given up everything before it does so, and only then imports what works on packets. All signals are
blocked and taken one at a time by `sigtimedwait`, so there is no handler and no race: a child's death, the operator's
wish to end, and time that has passed are events of one queue.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from monitor.exit_status import FAILURE, OperatorMistake, OutputFailure
from monitor.live import privileges
from monitor.live.privileges import User, first_refusal, may_change_user, named_user, service_user, way_to
from monitor.live.reachable import Reachable
from reports.visible import visible

if TYPE_CHECKING:
    from monitor.cli.messages import Messages

ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_QUEUED: Final = (*ENDING, signal.SIGCHLD)

_SHARED: Final = frozenset(
    ("/", "/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/usr", "/var", "/var/lib", "/var/log", "/var/spool")
)
"""Folders that are not ours to give away (FHS 3.0)."""

_BESIDE: Final = ("-wal", "-shm")  # what SQLite keeps beside a file that is open


class Signals:
    """From its making on, signals of this process wait until `next` asks for one."""

    def __init__(self) -> None:
        ignored = [number for number in ENDING if signal.getsignal(number) is signal.SIG_IGN]  # nohup, background jobs
        self._ours = frozenset(_QUEUED) - frozenset(ignored)
        signal.pthread_sigmask(signal.SIG_BLOCK, self._ours)

    def next(self, seconds: float | None = None) -> int | None:
        """Number of the next signal; None when none came in that time."""
        if seconds is None:
            return signal.sigwait(self._ours)
        got = signal.sigtimedwait(self._ours, max(0.0, seconds))
        return None if got is None else got.si_signo

    def forget(self, *numbers: signal.Signals) -> None:
        """In a worker: signals that do not concern it and come to nothing."""
        for number in numbers:
            signal.signal(number, signal.SIG_IGN if number != signal.SIGCHLD else signal.SIG_DFL)
        self._ours -= set(numbers)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def release(self) -> None:
        """In a worker, once its own handlers stand: what waited comes now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._ours)

    def hold(self) -> None:
        """In a worker that is about to end: being told once more must not kill it while it puts its things away."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self._ours)


def launch(user: User | None, sockets: Sequence[socket.socket] = (), first: Callable[[], None] | None = None) -> int:
    """Fork: the worker's process id here, where the sockets are closed; 0 in the worker, which has no rights left.

    first: what the worker does while it has them, such as reading a secret that no other process is to hold.
    """
    reachable = Reachable(user)
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    worker = os.fork()
    if worker:
        reachable.close()
        for opened in sockets:
            opened.close()
        return worker
    if first is not None:
        first()
    privileges.drop(user)
    privileges.end_with_parent(parent)
    reachable.use()
    return 0


def wait(worker: int, signals: Signals, messages: Messages) -> int:
    """Pass on the wish to end until the worker has ended; its status."""
    while True:
        if signals.next() != signal.SIGCHLD:
            os.kill(worker, signal.SIGTERM)
            continue
        for child, status in ended():
            if child == worker:
                if status < 0:
                    messages.error(f"the process that works on packets {died(status)}; what it had recorded stays")
                return status if status >= 0 else FAILURE


def end(worker: int) -> None:
    """Tell a worker to end, and wait until it has; one that was waited for already is no matter."""
    try:
        os.kill(worker, signal.SIGTERM)
        os.waitpid(worker, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def ended() -> list[tuple[int, int]]:
    """Children that are dead: process id, and exit status or the negative number of a signal."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not child:
            return found
        found.append((child, os.waitstatus_to_exitcode(status)))


def died(status: int) -> str:
    """In words, how a worker ended that was killed."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


# --- whom workers become ---------------------------------------------------------------------------------------------


def choose_user(name: str | None, record: str, folders: Sequence[str] = ()) -> tuple[User | None, str | None]:
    """Whom workers become (None: they stay who we are), and a warning. folders: where else they must write.

    Started as another user than root, workers stay that one. Root without a name: SERVICE_USER, if the machine has it
    and it may write where it must, else root with no capability. Raises OperatorMistake: no such user, or it may not
    write.
    """
    if os.geteuid() != 0:
        return None, None
    user = service_user() if name is None else named_user(name)
    if user is None or user.uid == 0:
        return None, (
            None
            if user
            else f"there is no user {privileges.SERVICE_USER}: workers stay root, without any capability "
            f"({privileges.ADD_USER} {privileges.SERVICE_USER} makes one)"
        )
    if not may_change_user():
        sentence = f"root may not become user {user.name} here: it lacks CAP_SETUID or CAP_SETGID"
        if name is None:
            return None, f"{sentence}, so that workers stay root, without any capability"
        raise OperatorMistake(sentence)
    refused = _refused(user, record, folders)
    if refused is None:
        return user, None
    place = visible(refused)
    if name is None:
        return None, f"user {user.name} may not use {place}: workers stay root, without any capability"
    ours = {record, *(f"{record}{more}" for more in _BESIDE), os.path.dirname(record), *folders} - _SHARED
    if refused in ours:
        remedy = f"chown {user.name} {place}, or name another place"
    else:
        remedy = "name a place that it can reach, such as sqlite:////var/lib/edgewarden/record.db"
    raise OperatorMistake(f"user {user.name} may not use {place}, where it must read and write: {remedy}")


def make_folders(user: User | None, folders: Sequence[str]) -> None:
    """Make what is missing on the way to these folders, for `user` alone. Raises OutputFailure."""
    for folder in folders:
        missing = []
        while not os.path.exists(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        for place in reversed(missing):
            try:
                os.mkdir(place, stat.S_IRWXU)
                if user is not None:
                    os.chown(place, user.uid, user.gid)
            except OSError as error:
                raise OutputFailure(place, error) from error


def _refused(user: User, record: str, folders: Sequence[str]) -> str | None:
    wanted: list[tuple[str, int]] = []
    for folder in (os.path.dirname(record), *folders):
        made = folder
        while not os.path.exists(made):
            made = os.path.dirname(made)
        wanted += way_to(made, os.W_OK if made == folder else 0)
    files = (record, *(f"{record}{more}" for more in _BESIDE))
    wanted += [(file, os.R_OK | os.W_OK) for file in files if os.path.exists(file)]
    return first_refusal(user, wanted)
