"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from leip.errors import OutputError
from leip.ir.whole_file import write_text_whole, write_whole


def half(file: BinaryIO) -> None:
    """A disk that is full in the middle."""
    file.write(b"half")
    file.flush()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with pytest.raises(OutputError, match=r"out\.txt: cannot be written: No space left on device"):
        write_whole(path, half)
    assert list(path.parent.iterdir()) == []
    path.write_text("old")
    with pytest.raises(OutputError):
        write_whole(path, half)
    assert [file.name for file in path.parent.iterdir()] == ["out.txt"]
    assert path.read_text() == "old"


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def stopped(file: BinaryIO) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "out.txt", stopped)
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of a write."""
    code = (
        "import sys, time\nfrom leip.ir.whole_file import write_whole\n"
        "def half(file):\n"
        "    file.write(b'half'); file.flush(); print('there', flush=True); time.sleep(60)\n"
        "write_whole(sys.argv[1], half)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        try:
            yield process
        finally:
            process.kill()


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    with writer(tmp_path / "a.txt") as killed:
        killed.kill()
        killed.wait()
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(f".leip-{killed.pid}-")
        with writer(tmp_path / "b.txt"):  # removes it, and lives
            (living,) = tmp_path.iterdir()
            write_text_whole(tmp_path / "c.txt", "c")
            assert set(tmp_path.iterdir()) == {living, tmp_path / "c.txt"}


def test_only_files_of_dead_writers_go(tmp_path: Path) -> None:
    with writer(tmp_path / "a.txt") as killed:
        pass
    (left,) = tmp_path.iterdir()
    number = killed.pid
    kept = [f".leip-{number}-0123456", f".leip-{number}-0123456g", f"leip-{number}-01234567"]
    kept += [f".leip-{os.getpid()}-01234567", ".leip-1-01234567", f".leip-{number}-01234567.txt"]
    kept += [".leip-99999999999999999999-01234567"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f".leip-{number}-00000000").mkdir()
    (tmp_path / f".leip-{number}-00000001").symlink_to(tmp_path / kept[0])
    os.mkfifo(tmp_path / f".leip-{number}-00000002")
    elsewhere = tmp_path / f".leip-{number}-00000003"  # of another host: the lock tells
    with open(elsewhere, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = set(tmp_path.iterdir())
        write_text_whole(tmp_path / "out.txt", "x")
        assert set(tmp_path.iterdir()) == before - {left} | {tmp_path / "out.txt"}


def test_devices_are_written_and_not_replaced(tmp_path: Path) -> None:
    write_text_whole("/dev/null", "x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match="No space left"):
        write_text_whole("/dev/full", "x" * 100000)
    with pytest.raises(OutputError, match="directory"):
        write_text_whole(tmp_path, "x")


def test_links_and_modes_are_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_text_whole(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_text_that_is_no_unicode(tmp_path: Path) -> None:
    write_text_whole(tmp_path / "x", os.fsdecode(b"a\xff"))
    assert (tmp_path / "x").read_text() == "a\\udcff"
