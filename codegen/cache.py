"""The cache on disk: built kernels, and the engine compiled per target.

Every entry carries a checksum of itself; a damaged one is dropped, told about and built again.
Entries appear by renaming, so readers and other processes never see half of one. What was used
longest ago goes first when the cache grows beyond its limit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
import struct
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = [
    "CacheInfo",
    "Entry",
    "KernelCache",
    "default_folder",
    "package_version",
    "source_hash",
]

MAGIC = b"LEIPC1\n\0"
SUFFIX = ".leip"
LIMIT = 2 << 30


@dataclass(frozen=True)
class Entry:
    """What was stored: bytes and facts."""

    data: bytes
    facts: dict[str, Any]


@dataclass(frozen=True)
class CacheInfo:
    """Where the cache is and what is in it."""

    path: Path
    entries: int
    bytes: int
    limit: int


def default_folder() -> Path:
    """`$LEIP_CACHE_DIR`, or leip's folder in the user's cache folder."""
    if given := os.environ.get("LEIP_CACHE_DIR"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "leip"


@dataclass
class KernelCache:
    """A folder of entries by key.

    Attributes:
        folder: Where it is; made when the first entry is written.
        plugins: Hash of the plugins' sources, part of every kernel's key.
        limit: Bytes that `trim` leaves at most.
        notes: What went wrong on the way (damaged entries, a folder that cannot be written).
    """

    folder: Path
    plugins: str = ""
    limit: int = LIMIT
    notes: list[str] = field(default_factory=list)
    _broken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def environment(self) -> str:
        """What every kernel depends on besides its task: our sources, plugins, versions."""
        return f"{source_hash()} {versions()} plugins={self.plugins}"

    def get(self, key: str) -> Entry | None:
        """The entry of a key; None if there is none, or if it was damaged."""
        path = self._path(key)
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        entry = _decode(raw)
        if entry is None:
            self.notes.append(f"the cache entry {path.name} was damaged and is built again")
            with contextlib.suppress(OSError):  # of a cache that can only be read
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: `trim` goes by this
        return entry

    def put(self, key: str, data: bytes, facts: dict[str, Any] | None = None) -> None:
        """Store an entry. A folder that cannot be written only gives a note."""
        if self._broken:
            return
        path = self._path(key)
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
            with os.fdopen(handle, "wb") as file:
                file.write(_encode(data, facts or {}))
            os.replace(temporary, path)
        except OSError as error:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            with self._lock:
                if not self._broken:
                    self._broken = True
                    self.notes.append(
                        f"the kernel cache in {self.folder} cannot be written: {error.strerror}"
                    )

    def trim(self) -> int:
        """Remove the entries used longest ago until the limit holds. Gives their number."""
        files = sorted(self._files(), key=lambda item: (item[1], str(item[0])))
        total = sum(size for _, _, size in files)
        removed = 0
        for path, _, size in files:
            if total <= self.limit:
                break
            path.unlink(missing_ok=True)
            total -= size
            removed += 1
        return removed

    def info(self) -> CacheInfo:
        sizes = [size for _, _, size in self._files()]
        return CacheInfo(self.folder, len(sizes), sum(sizes), self.limit)

    def clear(self) -> CacheInfo:
        """Remove every entry (nothing else that may lie in the folder). Gives what was there."""
        info = self.info()
        for path, _, _ in self._files():
            path.unlink(missing_ok=True)
        return info

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def _files(self) -> Iterable[tuple[Path, float, int]]:
        found = []
        for path in sorted(self.folder.glob(f"[0-9a-f][0-9a-f]/*{SUFFIX}")):
            try:
                status = path.stat()
            except OSError:  # another process removed it meanwhile
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            found.append((path, status.st_mtime, status.st_size))
        return found


def _encode(data: bytes, facts: dict[str, Any]) -> bytes:
    head = json.dumps(facts, sort_keys=True).encode()
    payload = struct.pack("<I", len(head)) + head + data
    return MAGIC + hashlib.sha256(payload).digest() + payload


def _decode(raw: bytes) -> Entry | None:
    start = len(MAGIC) + 32
    payload = raw[start:]
    if not raw.startswith(MAGIC) or hashlib.sha256(payload).digest() != raw[len(MAGIC) : start]:
        return None
    (size,) = struct.unpack_from("<I", payload)
    return Entry(payload[4 + size :], json.loads(payload[4 : 4 + size]))


@functools.cache
def source_hash() -> str:
    """Hash of the sources that a kernel's code depends on: templates, computes, code generation."""
    root = Path(__file__).parent.parent
    files = [*sorted((root / "schedules").rglob("*.py"))]
    own = ("kernel_worker.py", "kernel_object.py", "lowering.py", "resolver.py", "cpus.py")
    files += [root / "codegen" / name for name in own]
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def versions() -> str:
    """Versions of what takes part in building a kernel."""
    names = ("leip", "apache-tvm", "apache-tvm-ffi")
    return " ".join(f"{name}={package_version(name)}" for name in names)


def package_version(name: str) -> str:
    """The version of an installed package; "?" if there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"
