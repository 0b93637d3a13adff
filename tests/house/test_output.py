"""Results are whole or absent, and whose fault it was decides the status."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monitor.exit_status import FAILURE, MISTAKE, OutputFailure, gravest
from monitor.output import Output


def test_a_regular_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    target.chmod(0o640)
    with Output(str(target)) as out:
        out.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_failure_in_between_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    out = Output(str(target))
    out.__enter__()
    out.write_text("half")
    out.__exit__(RuntimeError, RuntimeError(), None)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with Output(str(tmp_path / "link")) as out:
        out.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_fifo_is_written_in_place(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    with Output(str(fifo)) as out:
        out.write(b"through the pipe")
    reader.join()
    assert got == [b"through the pipe"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_in_place() -> None:
    with Output("/dev/null") as out:
        out.write(b"gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("target", ["missing/result.json", "."])
def test_a_wrong_target_is_the_operators_mistake(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputFailure, match="cannot be written") as caught, Output(target):
        pass
    assert caught.value.status == MISTAKE


def test_a_full_disk_is_our_failure() -> None:
    with pytest.raises(OutputFailure, match="No space left") as caught, Output("/dev/full") as out:
        out.write(b"x" * 100_000)
    assert caught.value.status == FAILURE


def test_precedence_of_statuses() -> None:
    assert gravest([0]) == 0
    assert gravest([0, 3]) == 3
    assert gravest([3, 1, 0]) == 1
    assert gravest([3, 1, 2]) == 2
    assert gravest([2, 4, 1]) == 4


def test_standard_output_by_its_device_name_may_be_a_pipe() -> None:
    """/dev/stdout leads to `pipe:[123]`, which is no path that could be opened or renamed over."""
    code = "from monitor.output import Output\nwith Output('/dev/stdout') as out:\n    out.write_text('through')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == b"through"


def test_a_folder_name_that_is_taken_is_the_operators_mistake() -> None:
    assert OutputFailure("evidence", FileExistsError(errno.EEXIST, "File exists")).status == MISTAKE
