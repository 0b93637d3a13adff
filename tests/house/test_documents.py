"""README and help texts cannot go stale: each command is documented, each example is accepted, each link exists."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from monitor.cli import build_parser, main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(parser: argparse.ArgumentParser, name: str = "") -> dict[str, argparse.ArgumentParser]:
    """All commands that can be run, by name."""
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for key, child in action.choices.items():
                inner = commands(child, f"{name} {key}".strip())
                found.update(inner or {f"{name} {key}".strip(): child})
    return found


COMMANDS = commands(build_parser())


def test_the_list_of_commands_is_what_it_should_be() -> None:
    assert set(COMMANDS) == {
        "audit",
        "diff",
        "doctor",
        "explain",
        "findings",
        "flows",
        "report",
        "schedule list",
        "schedule run",
        "run",
        "sensor",
        "simulate",
        "topology check",
        "topology show",
        "topology schema",
        "topology new",
        "topology import",
        "policy list",
        "policy ask",
        "policy explain",
        "settings check",
        "settings schema",
        "settings new",
        "store info",
        "elastic setup",
        "elastic status",
        "schema",
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_help_has_an_example_that_parses(name: str) -> None:
    text = COMMANDS[name].format_help()
    assert "example:" in text
    examples = [line.strip() for line in text.split("example:")[1].splitlines() if line.strip()]
    assert examples
    for example in examples:
        words = shlex.split(example)
        assert words[0] == "edgewarden"
        assert " ".join(words[1:]).startswith(name)
        build_parser().parse_args(words[1:])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"`edgewarden {re.escape(name)}\b", README), name


def test_commands_of_the_readme_are_accepted() -> None:
    lines = re.findall(r"^ {4,}(edgewarden .*)$", README, re.MULTILINE)
    assert lines
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])


def test_the_output_in_the_readme_is_a_real_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `make demo` prints, from its first line on; `[…]` stands for lines left out."""
    monkeypatch.chdir(ROOT)
    captures = [
        f"{position}=pcaps/{kind}-{position}.pcapng"
        for position in ("external", "internal")
        for kind in ("clean", "violations")
    ]
    main(["audit", "--quiet", "--topology", "pcaps/contoso.yaml", *captures])
    real = capfd.readouterr().out
    shown = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    first, *others = shown.group(1).split("[…]\n")
    assert real.startswith(first)
    assert len(first.splitlines()) > 10
    for part in others:
        assert part in real


def test_make_targets_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^ {4}make (\w+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "pcaps/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "make --no-print-directory test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
