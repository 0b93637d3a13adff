"""Secrets: read from where the settings say, refused with the remedy, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.exit_status import OperatorMistake
from monitor.settings.secret import MAX_SECRET, Secret


@pytest.mark.parametrize(
    ("held", "secret"),
    [
        (b"s3cr3t", "s3cr3t"),
        (b"s3cr3t\n", "s3cr3t"),
        (b"s3cr3t\r\n", "s3cr3t"),
        (b" a b ", " a b "),
        ("ü".encode(), "ü"),
    ],
)
def test_a_secret_is_what_stands_there_without_the_line_end(
    held: bytes, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_bytes(held)
    assert Secret(file=str(file)).read() == secret
    monkeypatch.setitem(os.environb, b"EW_KEY", held)
    assert Secret(env="EW_KEY").read() == secret


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"s3cr3t\xff", "is no text"),
        (b"s3cr3t\nmore\n", "more than one line"),
        (b"s3cr3t" * MAX_SECRET, "octets"),
    ],
)
def test_what_is_no_secret_is_refused_without_repeating_it(held: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(held)
    with pytest.raises(OperatorMistake, match=message) as error:
        Secret(file=str(file)).read()
    assert "s3cr3t" not in str(error.value)
    assert str(file) in str(error.value)


def test_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperatorMistake, match="cannot be read: No such file"):
        Secret(file=str(tmp_path / "none")).read()
    with pytest.raises(OperatorMistake, match="cannot be read: Is a directory"):
        Secret(file=str(tmp_path)).read()
    monkeypatch.delenv("EW_KEY", raising=False)
    with pytest.raises(OperatorMistake, match=r"\$EW_KEY is not set"):
        Secret(env="EW_KEY").read()


def test_a_pipe_that_nobody_writes_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OperatorMistake, match="is empty"):
        Secret(file=str(tmp_path / "pipe")).read()


def test_a_place_open_to_everybody_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("s3cr3t", encoding="utf-8")
    for mode, careless in ((0o600, False), (0o640, False), (0o644, True), (0o602, True)):
        file.chmod(mode)
        warning = Secret(file=str(file)).warning()
        assert (warning is not None) == careless
        assert warning is None or warning.endswith(f"chmod o-rw {file}")
    assert Secret(env="EW_KEY").warning() is None


def test_an_odd_name_is_shown_harmless(tmp_path: Path) -> None:
    with pytest.raises(OperatorMistake) as error:
        Secret(file=f"{tmp_path}/\x1b[31m\n").read()
    assert str(error.value).isprintable()
