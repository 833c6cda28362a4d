from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tvm

from leip.codegen import kernel_build, kernel_object
from leip.codegen.cache import KernelCache
from leip.codegen.kernel_build import KernelBuildError, Request, WorkerPool, build_kernels
from leip.codegen.kernel_worker import Job
from leip.errors import BuildError
from leip.ir import parse_graph
from leip.ir.target import Target
from leip.schedules.select import GENERIC, select
from leip.schedules.task import Task

BODY = """graph "task" (%x: f32[4,16]) {{
  %y = {op}(%x) : f32[4,16]
  return %y
}}
"""

# A summand for each row, behind a relu: TVM shares `row * 6`, and computes it after it is read.
MATMUL = """graph "task" (%x: f32[58,58], %w: f32[58,33], %b: f32[33], %r: f32[58,1]) {
  %y = matmul(%x, %w) : f32[58,33]
  %s = add(%y, %b) : f32[58,33]
  %t = relu(%s) : f32[58,33]
  %u = add(%t, %r) : f32[58,33]
  return %u
}
"""

PLUGIN = """
import os, signal
from leip.plugin import register_template
from leip.schedules.template import InvalidConfig, Template

class Broken(Template):
    name = "{name}"
    def check(self, task): pass
    def build(self, task, config):
        {body}

register_template(Broken())
"""


def request(host: Target, op: str = "relu", template: str = GENERIC) -> Request:
    task = Task(parse_graph(BODY.format(op=op)), host, 1, 3)
    return Request(task, template, "")


def plugin(folder: Path, name: str, body: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(PLUGIN.format(name=name, body=body))
    return path


@pytest.mark.parametrize(
    "text",
    ["Instruction does not dominate all uses!", "variable cse_v3 has been used before definition!"],
)
def test_a_kernel_that_tvm_breaks_by_sharing_subexpressions(
    host: Target, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """What LLVM's verifier or TVM refuses for that reason is built without TVM's sharing."""
    real, configs = kernel_object._build, []

    def build(module: Any, config: dict[str, Any], target: Target) -> Any:
        configs.append(config)
        if len(configs) == 1:
            raise tvm.error.InternalError(text)
        return real(module, config, target)

    monkeypatch.setattr(kernel_object, "_build", build)
    task = Task(parse_graph(MATMUL), host, 1, 3, (1, 2))
    chosen = select(task)
    lowered = chosen.template.build(task, chosen.config)
    assert kernel_object.compile_lowered(lowered, "kernel", host, 3).startswith(b"\x7fELF")
    assert [config.get("tirx.disable_cse_tir", False) for config in configs] == [False, True]


def test_equal_tasks_once_and_from_the_cache(
    host: Target, pool: WorkerPool, tmp_path: Path
) -> None:
    wanted = [request(host), request(host, "exp"), request(host)]
    seen: list[tuple[int, int]] = []
    cache = KernelCache(tmp_path)
    built = build_kernels(wanted, pool, cache, lambda *figures: seen.append(figures))
    assert len(built) == 2 and seen[-1] == (2, 2)
    again = build_kernels(wanted, pool, cache)
    assert all(kernel.cached for kernel in again.values())
    assert {k: v.data for k, v in built.items()} == {k: v.data for k, v in again.items()}
    symbol = built[wanted[0].key].symbol
    assert symbol.startswith("relu_f32_plain__") and symbol.endswith(wanted[0].key[:8])
    cache.plugins = "changed"
    assert not any(kernel.cached for kernel in build_kernels(wanted, pool, cache).values())


def test_the_cache_knows_where_a_result_may_stand(
    host: Target, pool: WorkerPool, tmp_path: Path
) -> None:
    wanted = [request(host, template="any_pointwise__x86")]
    for cached in (False, True):
        (kernel,) = build_kernels(wanted, pool, KernelCache(tmp_path)).values()
        assert (kernel.cached, kernel.in_place) == (cached, (0,))


def test_a_damaged_entry_is_built_again(host: Target, pool: WorkerPool, tmp_path: Path) -> None:
    cache = KernelCache(tmp_path)
    first = build_kernels([request(host)], pool, cache)
    (path,) = tmp_path.rglob("*.leip")
    path.write_bytes(path.read_bytes()[:-3])
    second = build_kernels([request(host)], pool, cache)
    assert [k.cached for k in second.values()] == [False]
    assert [k.data for k in first.values()] == [k.data for k in second.values()]
    assert "damaged" in cache.notes[0]


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("buggy", "raise KeyError('lane')", "KeyError: 'lane'"),
        ("refusing", "raise InvalidConfig('7 does not divide 16')", "refuses: 7 does not divide"),
        ("dying", "os.kill(os.getpid(), signal.SIGSEGV)", "died (signal 11)"),
    ],
)
def test_errors_name_task_and_template(
    host: Target, tmp_path: Path, name: str, body: str, message: str
) -> None:
    path = plugin(tmp_path, name, body)
    with WorkerPool(1, [path]) as workers, pytest.raises(KernelBuildError) as caught:
        build_kernels([request(host, template=name)], workers)
    assert message in caught.value.message
    assert f"template {name}" in caught.value.where and "relu_f32" in caught.value.where
    assert caught.value.task == request(host).task.text
    assert "leip kernel bench" in caught.value.hint


def test_a_plugin_that_does_not_load(host: Target, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("1 / 0")
    with WorkerPool(1, [path]) as workers:
        workers.start()
        with pytest.raises(KernelBuildError, match="division by zero"):
            build_kernels([request(host)], workers)
    with WorkerPool(1, [path]) as workers, pytest.raises(BuildError) as caught:
        workers.attempt([Job("", "", "", "")], 60.0)
    assert "do not begin: UsageError: " in caught.value.message
    assert "division by zero" in caught.value.message and str(path) in caught.value.where


def test_workers_die_with_their_parent() -> None:
    code = (
        "import os, time; from leip.codegen.kernel_build import WorkerPool\n"
        "pool = WorkerPool(1); pool.start()\n"
        "print(pool._workers[0].process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(1)
    os.kill(worker, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and _alive(worker):
        time.sleep(0.1)
    assert not _alive(worker)


class Hanging:
    """Stands for a worker that does a job until it is closed, and then for the moment after."""

    def __init__(self, plugins: tuple[str, ...], temporary: Path) -> None:
        self.process = SimpleNamespace(kill=lambda: None)
        self.asked, self.closed, self.replaced = (threading.Event() for _ in range(3))
        for before in MADE:
            before.replaced.set()
        MADE.append(self)

    def ask(self, job: Any) -> Any:
        self.asked.set()
        self.closed.wait()
        raise EOFError

    def ended(self) -> str:
        return "signal 15"

    def close(self) -> None:
        self.closed.set()
        self.replaced.wait(0.5)  # time for the thread that has asked to take it for dead


MADE: list[Hanging] = []


def test_an_interrupt_starts_no_worker_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while workers prepare: they end, and who waits for them finds them dead."""
    MADE.clear()
    join, waiting, raised = threading.Thread.join, [], []

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        MADE[0].asked.wait()
        waiting.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(kernel_build, "_Worker", Hanging)
    monkeypatch.setattr(threading, "excepthook", raised.append)
    pool = WorkerPool(1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(threading.Thread, "join", interrupted)
        pool.attempt([Job("", "", "", "")] * 2, 60.0)
    for thread in waiting:
        join(thread)
    assert len(MADE) == 1, "a worker was started while the pool was closed"
    assert not raised, "a thread died with a traceback"


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
