"""What is shipped: the wheel, built, looked into, installed into an empty environment away from the source, and run.

Three traps have a test each: without `parsers/__init__.py` the extension lands elsewhere; without `profile = "release"`
a debug build is shipped; without the excludes the Rust sources are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.captures import BROKEN, CLEAN, ROOT, TOPOLOGY

RELEASE_LIMIT = 6_000_000
"""Octets of the extension: a release build has about 2 MB, a debug build over 20."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    maturin = shutil.which("maturin", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert maturin is not None, "maturin is one of the packages to develop with"
    subprocess.run(
        [maturin, "build", "--out", str(folder), "--interpreter", sys.executable], cwd=ROOT, check=True, timeout=900
    )
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it asks for, nothing else; outside the source tree."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = folder / "venv" / "bin" / "pip"
    subprocess.run(
        [str(pip), "install", "-q", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt"), str(wheel)],
        check=True,
        cwd=folder,
        timeout=600,
    )
    return folder


def run(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(environment), "LC_ALL": "C"}
    return subprocess.run(
        [str(environment / "venv" / "bin" / "edgewarden"), *words],
        cwd=environment,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_top_level_names_are_the_four_packages(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel)} == {
        "parsers",
        "monitor",
        "rules",
        "reports",
        "edgewarden-0.1.0.dist-info",
    }


def test_the_extension_is_where_it_is_imported_from_and_a_release_build(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [extension] = [info for info in archive.infolist() if info.filename.endswith(".so")]
    assert extension.filename.startswith("parsers/_native")
    assert 200_000 < extension.file_size < RELEASE_LIMIT


def test_no_sources_of_the_core_nor_tests_are_shipped(wheel: Path) -> None:
    for name in names(wheel):
        if ".dist-info/" in name:
            continue
        assert not name.endswith((".rs", ".toml", ".lock", ".pyc", ".profraw")), name
        assert not name.startswith(("parsers/src", "parsers/tests", "parsers/target", "tests/")), name


def test_data_and_types_are_shipped(wheel: Path) -> None:
    shipped = set(names(wheel))
    assert {
        "parsers/_native.pyi",
        "rules/paths.yaml",
        "reports/templates/audit.html",
        "reports/templates/period.html",
        "reports/templates/style.css",
        "edgewarden-0.1.0.dist-info/licenses/LICENSE",
    } <= shipped
    assert any(name.startswith("monitor/simulate/scenarios/") for name in shipped)


def test_every_python_file_of_the_tree_is_shipped(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "parsers/*.py", "monitor/*.py", "rules/*.py", "reports/*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert tracked
    assert set(tracked) <= set(names(wheel))


def test_it_says_its_version(environment: Path) -> None:
    done = run(environment, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "edgewarden 0.1.0\n", "")


def test_it_comes_from_the_environment(environment: Path) -> None:
    done = subprocess.run(
        [str(environment / "venv" / "bin" / "python"), "-c", "import parsers, rules; print(parsers.__file__)"],
        cwd=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(environment))


def test_it_audits(environment: Path) -> None:
    done = run(environment, "audit", "--topology", TOPOLOGY, *(f"{p}={c}" for p, c in CLEAN.items()))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NO VIOLATION SEEN")
    report = environment / "report.html"
    done = run(
        environment,
        *("audit", "--topology", TOPOLOGY, "--format", "json", "--report", str(report)),
        *(f"{p}={c}" for p, c in BROKEN.items()),
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["verdict"] == "violations"
    assert report.stat().st_size > 10_000


def test_it_simulates(environment: Path) -> None:
    done = run(environment, "simulate", "--topology", TOPOLOGY, "--out", "made")
    assert done.returncode == 0, done.stderr
    assert (environment / "made" / "clean-external.pcapng").stat().st_size > 1000
