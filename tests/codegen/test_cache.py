from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from leip.codegen.cache import KernelCache, default_folder

KEY, OTHER = "ab" * 32, "cd" * 32


def test_what_is_put_is_got(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(KEY, b"object", {"symbol": "k", "workspace": 3})
    entry = KernelCache(tmp_path).get(KEY)
    assert entry is not None
    assert (entry.data, entry.facts) == (b"object", {"symbol": "k", "workspace": 3})
    assert cache.info().entries == 1
    assert not [path for path in tmp_path.rglob(".tmp-*")]


@pytest.mark.parametrize("cut", [0, 7, 20, 60, -1])
def test_a_damaged_entry_is_dropped_and_told(tmp_path: Path, cut: int) -> None:
    cache = KernelCache(tmp_path)
    cache.put(KEY, b"object" * 100)
    (path,) = tmp_path.rglob("*.leip")
    raw = path.read_bytes()
    path.write_bytes(raw[:cut] if cut >= 0 else raw[:-1] + bytes([raw[-1] ^ 1]))
    assert cache.get(KEY) is None
    assert "damaged" in cache.notes[0]
    assert not path.exists()


def test_a_damaged_entry_of_a_cache_that_can_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = KernelCache(tmp_path)
    cache.put(KEY, b"object" * 100)
    (path,) = tmp_path.rglob("*.leip")
    path.write_bytes(path.read_bytes()[:20])

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", refused)
    assert cache.get(KEY) is None
    assert "damaged" in cache.notes[0]


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path, limit=2500)
    for number, key in enumerate((KEY, OTHER, "ef" * 32)):
        cache.put(key, b"x" * 1000)
        os.utime(cache._path(key), (number, number))
    assert cache.get(KEY) is not None  # used now
    assert cache.trim() == 1
    assert cache.get(OTHER) is None
    assert cache.get(KEY) is not None


def test_clear_removes_entries_only(tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    cache.put(KEY, b"object")
    (tmp_path / "mine.txt").write_text("keep")
    (tmp_path / OTHER[:2] / f"{OTHER}.leip").mkdir(parents=True)
    assert cache.clear().entries == 1
    assert cache.info().entries == 0
    assert (tmp_path / "mine.txt").exists()


def test_a_folder_that_cannot_be_written_only_gives_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = KernelCache(tmp_path / "file" / "cache")
    cache.put(KEY, b"object")
    cache.put(OTHER, b"object")
    assert cache.get(KEY) is None
    assert len(cache.notes) == 1 and "cannot be written" in cache.notes[0]


def test_plugins_change_the_keys(tmp_path: Path) -> None:
    assert KernelCache(tmp_path, "a").environment != KernelCache(tmp_path, "b").environment


def test_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEIP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "leip"
