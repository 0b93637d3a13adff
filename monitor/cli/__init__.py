"""The command line: one file for each group of commands, and here what holds for all of them.

Strategy: a command's module has `add(commands)`, which declares its arguments, and a function that runs it and returns
an exit status; heavy imports happen inside that function, so that `--help` and `--version` are quick. Whatever ends a
command early comes to `main` as an exception and becomes one sentence on standard error and the documented status;
a traceback is shown with --verbose only.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Final

from monitor.cli import (
    audit,
    diff,
    doctor,
    elastic,
    explain,
    findings,
    flows,
    policy,
    report,
    run,
    schedule,
    schema,
    sensor,
    settings,
    simulate,
    store,
    topology,
)
from monitor.cli.arguments import Parser, general
from monitor.cli.messages import Messages
from monitor.exit_status import FAILURE, MISTAKE, Ended, OperatorMistake, OutOfReach, OutputFailure
from parsers import VERSION

COMMANDS: Final = (
    audit,
    sensor,
    run,
    findings,
    explain,
    diff,
    report,
    schedule,
    flows,
    simulate,
    topology,
    policy,
    settings,
    store,
    elastic,
    doctor,
    schema,
)

_DESCRIPTION: Final = """\
Reads captures taken at the firewalls around a Lync or Skype for Business edge, and says which flows the declared
topology allows, which violate it, and why."""

_EPILOG: Final = """\
example:
  edgewarden audit --topology contoso.yaml external=outside.pcapng internal=inside.pcapng

exit status: 0 nothing found, 1 violations, 2 a mistake in what was asked, 3 inconclusive, 4 a failure of our own"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="edgewarden",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[general()],
    )
    parser.add_argument("--version", action="version", version=f"edgewarden {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for module in COMMANDS:
        module.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    messages = Messages()
    verbose = False
    try:
        _catch_signals()
        parser = build_parser()
        parsed = parser.parse_args(arguments)
        verbose = getattr(parsed, "verbose", False)
        level = "quiet" if getattr(parsed, "quiet", False) else "verbose" if verbose else "normal"
        messages = Messages(level, getattr(parsed, "log_format", "text"))
        if getattr(parsed, "run", None) is None:
            parser.print_help(sys.stderr)
            return MISTAKE
        status: int = parsed.run(parsed, messages)
        return status
    except SystemExit as error:  # argparse: help, version, usage
        return error.code if isinstance(error.code, int) else MISTAKE
    except OperatorMistake as error:
        messages.error(str(error))
        return MISTAKE
    except OutputFailure as error:
        messages.error(str(error))
        return error.status
    except OutOfReach as error:
        messages.error(str(error))
        return FAILURE
    except BrokenPipeError:
        return _reader_gone()
    except (Ended, KeyboardInterrupt) as error:
        return error.status if isinstance(error, Ended) else 128 + signal.SIGINT
    except MemoryError:
        messages.error("out of memory")
        return FAILURE
    except Exception as error:
        if verbose:
            traceback.print_exc()
        place = traceback.extract_tb(error.__traceback__)[-1]
        messages.error(
            f"failed: {type(error).__name__}: {error} (in {os.path.basename(place.filename)}:{place.lineno}; "
            "this is a defect of edgewarden, --verbose shows where)"
        )
        return FAILURE
    finally:
        _drop_messages_nobody_reads()


def _catch_signals() -> None:
    """SIGINT, SIGTERM and SIGHUP end the run where its files can be cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:
        for caught in _ENDING:
            signal.signal(caught, signal.SIG_IGN)  # once is enough: cleaning up is not to be interrupted
        raise Ended(number)

    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, background jobs
            signal.signal(number, end)


_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _reader_gone() -> int:
    """Whoever read our output has left: nothing more to say, as any command in a pipeline ends."""
    _into_nowhere(1)  # what is still buffered must not raise again at exit
    return 128 + signal.SIGPIPE


def _drop_messages_nobody_reads() -> None:
    """Standard error that is full or closed costs the messages, never the status: the interpreter would make it 120."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _into_nowhere(2)


def _into_nowhere(descriptor: int) -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, descriptor)
    os.close(devnull)
