"""What this machine is, and what it can do at most while a benchmark runs."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from pathlib import Path
from typing import Any

CACHE = Path("/sys/devices/system/cpu/cpu0/cache")
PACKAGES = ("apache-tvm", "numpy", "onnx", "onnxruntime", "openvino", "torch")


def cpu_name() -> str:
    """The CPU's name and how many there are."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{lines[0]}, {len(lines)} CPUs" if lines else platform.machine()


def cache_bytes() -> dict[str, int]:
    """Size of each data cache by its level; empty where the system does not say."""
    sizes: dict[str, int] = {}
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for folder in sorted(CACHE.glob("index*")):
        try:
            kind = (folder / "type").read_text().strip()
            level, size = (folder / "level").read_text().strip(), (folder / "size").read_text()
        except OSError:
            continue
        if kind != "Instruction":
            number, unit = size.strip()[:-1], size.strip()[-1]
            sizes[f"l{level}"] = int(number) * units[unit]
    return sizes


def last_level_cache() -> int:
    """Bytes of the largest cache; 0 if not known."""
    return max(cache_bytes().values(), default=0)


def facts(threads: int) -> dict[str, Any]:
    """What belongs beside every result."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "machine": cpu_name(),
        "caches": cache_bytes(),
        "kernel": platform.release(),
        "threads": threads,
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }
