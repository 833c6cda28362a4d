"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
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
