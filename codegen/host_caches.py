"""The caches of the machine at hand, as Linux tells them.

LLVM's name of a CPU is a poor clue in a virtual machine: hypervisors give out names of their own
choosing, while sizes of caches come from the processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..ir.target import Caches

__all__ = ["CACHE_FOLDER", "Cache", "caches", "host_caches"]

CACHE_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")

# A virtual machine sees the last-level cache of the whole chip but few of those who share it: no
# core can count on more.
MOST_SHARE = 4 << 20

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Cache:
    """A data cache: its level, its size, and how many CPUs share it."""

    level: int
    bytes: int
    sharers: int


def host_caches(known: Caches, folder: Path = CACHE_FOLDER) -> Caches:
    """What one core here has, where the system tells it.

    Args:
        known: What is believed of this CPU: taken for levels that the system does not tell.
        folder: Where Linux lists the caches of a core.
    """
    found = {cache.level: cache for cache in caches(folder)}
    shares = {n: cache.bytes // _cores(folder, cache.sharers) for n, cache in found.items()}
    l3 = min(shares[3], max(MOST_SHARE, known.l3)) if 3 in shares else known.l3
    l1 = found[1].bytes if 1 in found else known.l1  # every core has its own
    return Caches(l1, shares.get(2, known.l2), l3)


def caches(folder: Path = CACHE_FOLDER) -> list[Cache]:
    """The data caches of a core that the system tells about."""
    found = []
    for path in sorted(folder.glob("index*")):
        try:
            if _read(path / "type") != "Instruction":
                sharers = _count(_read(path / "shared_cpu_list"))
                level, size = int(_read(path / "level")), _bytes(_read(path / "size"))
                found.append(Cache(level, size, sharers))
        except (OSError, ValueError):
            continue
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _bytes(text: str) -> int:
    if text[-1:] in _UNITS:
        return int(text[:-1]) * _UNITS[text[-1]]
    return int(text)


def _count(cpus: str) -> int:
    """CPUs in a list such as `0-3,8`."""
    total = 0
    for part in cpus.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def _cores(folder: Path, sharers: int) -> int:
    """Cores among CPUs that share a cache: hyperthreads of one core count once."""
    try:
        threads = _count(_read(folder.parent / "topology" / "thread_siblings_list"))
    except (OSError, ValueError):
        threads = 1
    return max(1, sharers // threads)
