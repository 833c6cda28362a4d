"""The caches of the machine at hand, as Linux tells them.

LLVM's name of a CPU is a poor clue in a virtual machine: hypervisors give out names of their own
choosing, while sizes of caches come from the processor.
"""

from __future__ import annotations

from pathlib import Path

from ..ir.target import Caches

__all__ = ["CACHE_FOLDER", "host_caches"]

CACHE_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")

# A virtual machine sees the last-level cache of the whole chip but few of those who share it: no
# core can count on more.
MOST_SHARE = 4 << 20

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def host_caches(known: Caches, folder: Path = CACHE_FOLDER) -> Caches:
    """What one core here has, where the system tells it.

    Args:
        known: What is believed of this CPU: taken for levels that the system does not tell.
        folder: Where Linux lists the caches of a core.
    """
    own = {1: known.l1, 2: known.l2}
    l3 = known.l3
    for cache in sorted(folder.glob("index*")):
        try:
            level = int(_read(cache / "level"))
            if _read(cache / "type") == "Instruction":
                continue
            size = _bytes(_read(cache / "size"))
            sharers = _count(_read(cache / "shared_cpu_list"))
        except (OSError, ValueError):
            continue
        if level in own:
            own[level] = size if level == 1 else size // _cores(folder, sharers)
        elif level == 3:
            l3 = min(size // _cores(folder, sharers), max(MOST_SHARE, known.l3))
    return Caches(own[1], own[2], l3)


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
