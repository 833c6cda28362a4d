"""Import to first result, peak memory and idle CPU of leip and ONNX Runtime, in fresh processes.

    python bench/startup.py [--models resnet50 mobilenet_v2] [--rounds 7]

The processes alternate. numpy is imported, and the inputs are read, before the clock starts. The
figures are minima and medians; they go to `bench/results/startup.json` as well. The exit code is 1
if a bar (`verdicts.py`) is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
import verdicts
from zoo_models import random_feeds, zoo_model

PAUSE = 0.1
IDLE_SECONDS = 1.0
COMMON = """
import json, sys, time
import numpy as np
folder, model, threads, idle = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
feeds = dict(np.load(folder + "/feeds.npz"))
started = time.perf_counter()
{body}
seconds = time.perf_counter() - started
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
time.sleep(0.2)
cpu, wall = time.process_time(), time.perf_counter()
time.sleep(idle)
busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
print(json.dumps({{"seconds": seconds, "peak_bytes": peak, "idle_cpu": busy}}))
"""
BODIES = {
    "leip": """
sys.path.insert(0, folder)
import lre
engine = lre.load(folder, threads=threads)
engine.infer(feeds)
""",
    "onnxruntime": """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
session.run(None, feeds)
""",
}


def once(runner: str, folder: Path, model: Path, threads: int) -> dict[str, float]:
    """The figures of one fresh process."""
    time.sleep(PAUSE)
    script = COMMON.format(body=BODIES[runner])
    words = [str(folder), str(model), str(threads), str(IDLE_SECONDS)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(name: str, threads: int, rounds: int, folder: Path) -> dict[str, Any]:
    """The figures of one model, and leip's ratios to ONNX Runtime."""
    import leip

    model = zoo_model(name)
    out = folder / name
    leip.compile(model, out, threads=threads)
    np.savez(out / "feeds.npz", **random_feeds(model))
    runs: dict[str, list[dict[str, float]]] = {runner: [] for runner in BODIES}
    for number in range(rounds):
        for runner in sorted(BODIES, reverse=bool(number % 2)):
            runs[runner].append(once(runner, out, model, threads))
    figures: dict[str, Any] = {}
    for runner, values in runs.items():
        seconds = [value["seconds"] for value in values]
        figures[runner] = {
            "first_result_min_ms": min(seconds) * 1e3,
            "first_result_median_ms": statistics.median(seconds) * 1e3,
            "peak_mb": statistics.median(value["peak_bytes"] for value in values) / 1e6,
            "idle_cpu": max(value["idle_cpu"] for value in values),
        }
    mine, theirs = figures["leip"], figures["onnxruntime"]
    keys = ("first_result_min_ms", "first_result_median_ms", "peak_mb")
    figures["ratio"] = {key: mine[key] / theirs[key] for key in keys}
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["resnet50", "mobilenet_v2"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=record.RESULTS / "startup.json")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="leip-bench-") as folder:
        models = {
            name: measure(name, options.threads, options.rounds, Path(folder))
            for name in options.models
        }
    found = verdicts.startup(models)
    record.write(options.output, options.threads, {"models": models}, found)
    for name, figures in models.items():
        print(name, json.dumps(figures, indent=1))
    print(*found, sep="\n")
    return 0 if verdicts.all_met(found) else 1


if __name__ == "__main__":
    sys.exit(main())
