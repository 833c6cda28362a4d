"""Folders for work: those of processes that were killed go, those of living ones stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from leip.codegen.work_folder import WorkFolder

OTHER = """
from leip.codegen.work_folder import WorkFolder
print(WorkFolder().path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, also those of other processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_it_goes_when_it_is_closed(temporary: Path) -> None:
    folder = WorkFolder()
    (folder.path / "file").touch()
    assert list(temporary.iterdir()) == [folder.path]
    folder.close()
    folder.close()
    assert not list(temporary.iterdir())


def test_only_those_of_killed_processes_are_removed(temporary: Path) -> None:
    others = [
        subprocess.Popen(
            [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    folders = [Path(other.stdout.readline().strip()) for other in others if other.stdout]
    for path in folders:
        (path / "file").touch()
    (temporary / "leip-work-file").touch()  # of somebody else, by accident
    others[0].send_signal(signal.SIGKILL)
    others[0].wait()
    mine = WorkFolder()
    assert not folders[0].exists() and (folders[1] / "file").exists()
    others[1].communicate("\n")
    assert folders[1].exists()  # its process did not close it
    WorkFolder().close()
    assert sorted(temporary.iterdir()) == sorted([mine.path, temporary / "leip-work-file"])
    mine.close()
