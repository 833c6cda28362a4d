"""What this machine is, and what it can do at most while a benchmark runs."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from pathlib import Path
from typing import Any

from leip.codegen.host_caches import caches

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
    return {f"l{cache.level}": cache.bytes for cache in caches()}


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
