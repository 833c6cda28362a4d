"""The machine that a search measures on, and the log's word for it."""

from __future__ import annotations

import platform
from pathlib import Path

from ..codegen.host_caches import caches
from ..codegen.measure import measure_peak
from ..errors import LeipError
from ..schedules.task import Task
from ..search.blame import part_name
from ..search.log import TuningLog
from ..search.machine import Facts, last_machine, same_machine
from ..search.record import MachineFacts
from ..search.registry import parts

__all__ = ["announced", "bound_of", "machine_facts", "with_limits"]

USUAL_GFLOPS, USUAL_GIGABYTES = 100.0, 20.0  # of a machine that is not known

# Of /proc/cpuinfo, on x86 and on ARM.
NUMBERS = ("cpu family", "model", "stepping", "CPU implementer", "CPU part", "CPU variant")
FLAGS = ("flags", "Features")
VECTORS = ("avx", "fma", "f16c", "amx", "asimd", "sve", "i8mm", "bf16")  # begin such names


def announced(log: TuningLog, threads: int) -> Facts:
    """The machine that measures from now on; a record says so if another one did before."""
    facts, last = machine_facts(), last_machine(log.content)
    if same_machine(facts, last):
        return {**last, **facts}
    facts = with_limits(facts, threads)
    log.append(MachineFacts(facts))
    return facts


def machine_facts() -> Facts:
    """What does not change from day to day; with a plugin's measurer, which one that is."""
    sizes = {f"l{cache.level}": f"{cache.bytes >> 10} KB" for cache in caches()}
    facts = {**_cpu(), **sizes}
    if (measurer := parts().measurer) is not None:
        facts["measurer"] = part_name(measurer)
    return facts


def with_limits(facts: Facts, threads: int) -> Facts:
    """The same with what is for people, and with the limits that the order of a search goes by."""
    facts = {**facts, "kernel": platform.release()}
    if parts().measurer is None:
        try:
            peak = measure_peak(threads)
        except (LeipError, OSError):
            return facts
        facts |= {"gflops": f"{peak.gflops:.1f}", "gigabytes": f"{peak.gigabytes:.1f}"}
    return facts


def bound_of(task: Task, machine: Facts) -> float:
    """Seconds that no config can go below, by the machine's limits."""
    try:
        flops, rate = float(machine["gflops"]), float(machine["gigabytes"])
    except (KeyError, ValueError):
        flops = rate = 0.0
    if not (flops > 0 and rate > 0):  # a plugin measures, or there was no compiler
        flops, rate = USUAL_GFLOPS, USUAL_GIGABYTES
    return max(task.flops / flops, task.bytes / rate) / 1e9


def _cpu() -> dict[str, str]:
    """Name and number of the CPUs, what kind they are of, and their vector instructions."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {"cpu": platform.processor() or platform.machine()}
    lines = [[part.strip() for part in line.partition(":")[::2]] for line in text.splitlines()]
    first = {name: value for name, value in reversed(lines)}  # of the first CPU
    count = sum(name == "processor" for name, _ in lines)
    words = " ".join(first[name] for name in FLAGS if name in first).split()
    facts = {
        "cpu": f"{first.get('model name', platform.machine())}, {count} CPUs",
        "model": " ".join(first[name] for name in NUMBERS if name in first),
        "vectors": " ".join(sorted(word for word in words if word.startswith(VECTORS))),
    }
    return {name: value for name, value in facts.items() if value}
