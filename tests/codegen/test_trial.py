"""Trials of candidates: what one does costs that one only, and only right ones get a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tuning_runs import processes_of

from leip.codegen.kept_kernels import KeptKernels
from leip.codegen.kernel_build import WorkerPool
from leip.codegen.kernel_worker import DIED, Errand, Failed
from leip.codegen.resolver import resolve
from leip.codegen.trial import TrialLimits, TrialMeasurer
from leip.codegen.trial_errands import BuildTrial, TrialKernel
from leip.codegen.trial_messages import Result, Run
from leip.errors import OutputError, TargetError
from leip.ir.parse import parse_graph
from leip.schedules import select
from leip.schedules.task import Task
from leip.search.measurer import Outcome, Trial
from leip.search.record import Status

PLUGIN = Path(__file__).parent / "misbehaving.py"
NAME = "relu_f32_misbehaving__any"
RELU = """graph "task" (%x: f32[7]) {
  %y = relu(%x) : f32[7]
  return %y "y"
}
"""


def task_of(
    body: str, constants: tuple[int, ...] = (), target: str = "llvm", threads: int = 2
) -> Task:
    return Task(parse_graph(body), resolve(target), threads, level=3, constants=constants)


def trial(**config: str) -> Trial:
    return Trial(task_of(RELU).text, NAME, config)


@pytest.fixture(scope="module")
def measurer() -> Iterator[TrialMeasurer]:
    limits = TrialLimits(build=30.0, run=3.0, memory=256 << 20)
    with WorkerPool(2, [PLUGIN]) as pool, TrialMeasurer(pool, limits=limits) as measurer:
        yield measurer


def measure(measurer: TrialMeasurer, *does: str) -> list[Outcome]:
    return list(measurer.measure([trial(does=each) for each in does]))


def test_a_right_kernel_gets_times(measurer: TrialMeasurer) -> None:
    (outcome,) = measure(measurer, "right")
    assert outcome.status is Status.OK, outcome
    assert len(outcome.times) >= 2 and all(0 < seconds < 1 for seconds in outcome.times)


@pytest.mark.parametrize(
    ("does", "status", "said"),
    [
        ("wrong", Status.WRONG_RESULT, "largest error 1.000e+00"),
        ("crash", Status.CRASH, "signal 11"),
        ("hang", Status.TIMEOUT, "no end after 3 s"),
        ("allocate", Status.CRASH, "signal 11"),
        ("refuse", Status.INVALID, "no legal one"),
        ("raise", Status.BUILD_ERROR, "RuntimeError: a bug in the template"),
        ("die", Status.BUILD_ERROR, "exit code 9"),
        ("grow", Status.BUILD_ERROR, "MemoryError"),
    ],
)
def test_what_a_candidate_does_costs_that_candidate_only(
    measurer: TrialMeasurer, does: str, status: Status, said: str
) -> None:
    before, bad, after = measure(measurer, "right", does, "right")
    assert before.status is after.status is Status.OK, (before, after)
    assert (bad.status, bad.times) == (status, ())
    assert said in bad.message


@pytest.mark.parametrize("does", ["fork", "leave"])
def test_a_copy_that_a_kernel_makes_says_nothing_and_ends_with_it(does: str) -> None:
    """Its answer would be taken for that of the next candidate."""
    with WorkerPool(2, [PLUGIN]) as pool, TrialMeasurer(pool) as measurer:
        text = task_of(RELU, threads=1).text  # a copy has no threads but its own
        trials = [Trial(text, NAME, {"does": each}) for each in (does, "wrong", "right")]
        copying, wrong, right = measurer.measure(trials)
        assert (copying.status, wrong.status) == (Status.OK, Status.WRONG_RESULT)
        assert right.status is Status.OK, right
        worker = measurer._runner._worker
        assert worker is not None
    assert until(lambda: not processes_of(worker.process.pid))


def test_a_full_disk_is_no_fault_of_a_candidate(
    measurer: TrialMeasurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    (refused,) = measure(measurer, "refuse")
    assert refused.status is Status.INVALID  # that has nothing to do with disks
    for does in ("raise", "die"):
        with pytest.raises(OutputError, match="temporary files cannot be written: No space") as e:
            measure(measurer, does)
        assert "TMPDIR" in e.value.hint


def test_a_build_without_end_is_given_up() -> None:
    limits = TrialLimits(build=4.0)
    with WorkerPool(1, [PLUGIN]) as pool, TrialMeasurer(pool, limits=limits) as measurer:
        slow, right = measure(measurer, "build for ever", "right")
    assert slow.status is Status.TIMEOUT and "4 s" in slow.message
    assert right.status is Status.OK, right


def test_comparing_runs_both_in_turns(measurer: TrialMeasurer) -> None:
    right, slow = measurer.compare([trial(does="right"), trial(does="slow")])
    assert right.status is slow.status is Status.OK, (right, slow)
    assert len(right.times) == len(slow.times) >= 4


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("does", "status", "said"),
    [
        ("refuse", Status.INVALID, "no legal one"),
        ("wrong", Status.WRONG_RESULT, "largest error 1.000e+00"),
        ("crash", Status.CRASH, "signal 11"),
        ("hang", Status.TIMEOUT, "no end after 3 s"),
        ("allocate", Status.CRASH, "signal 11"),
    ],
)
def test_comparing_says_which_one_fails(
    measurer: TrialMeasurer, does: str, status: Status, said: str, first: bool
) -> None:
    """The other one is measured."""
    trials = [trial(does=does), trial(does="right")]
    outcomes = measurer.compare(trials if first else trials[::-1])
    bad, right = outcomes if first else outcomes[::-1]
    assert (bad.status, bad.times) == (status, ()) and said in bad.message
    assert right.status is Status.OK and all(0 < seconds < 1 for seconds in right.times)
    assert right.times


def test_comparing_two_that_fail(measurer: TrialMeasurer) -> None:
    wrong, crash = measurer.compare([trial(does="wrong"), trial(does="crash")])
    assert (wrong.status, crash.status) == (Status.WRONG_RESULT, Status.CRASH)
    refused, crash = measurer.compare([trial(does="refuse"), trial(does="crash")])
    assert (refused.status, crash.status) == (Status.INVALID, Status.CRASH)


def test_what_two_do_only_together_is_the_fault_of_both(
    measurer: TrialMeasurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = measurer._runner.ask

    def killed(runs: tuple[Run, ...], timeout: float) -> list[Result] | Outcome:
        if len(runs) == 1:
            return ask(runs, timeout)
        return Outcome(Status.CRASH, message="it ended with signal 9")

    monkeypatch.setattr(measurer._runner, "ask", killed)
    both = measurer.compare([trial(does="right"), trial(does="slow")])
    assert both == [Outcome(Status.CRASH, message="it ended with signal 9")] * 2


@pytest.mark.parametrize("enough", [True, False])
def test_code_is_kept_for_what_runs_again_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, enough: bool
) -> None:
    limits = TrialLimits(kept=1 << 20 if enough else 0)
    with WorkerPool(2, [PLUGIN]) as pool, TrialMeasurer(pool, limits=limits) as measurer:
        (first,) = measure(measurer, "right")
        jobs: list[BuildTrial] = []
        attempt = pool.attempt

        def seen(errands: Sequence[Errand], timeout: float) -> list[Any]:
            jobs.extend(errand for errand in errands if isinstance(errand, BuildTrial))
            return attempt(errands, timeout)

        monkeypatch.setattr(pool, "attempt", seen)
        right, slow = measurer.compare([trial(does="right"), trial(does="slow")])
        assert first.status is right.status is slow.status is Status.OK
    assert [job.built is not None for job in jobs] == [enough, False]


def test_the_kernels_that_were_used_last_are_kept() -> None:
    kept = KeptKernels(100)
    made = {name: TrialKernel(name, bytes(40), 0, {}) for name in "abcd"}
    for name in "ab":
        kept.put(name, made[name])
    assert kept.get("a") is made["a"]
    kept.put("c", made["c"])
    kept.put("c", made["c"])
    assert [kept.get(name) for name in "abcd"] == [made["a"], None, made["c"], None]
    assert kept.bytes == 80
    kept.put("d", TrialKernel("d", bytes(1000), 0, {}))
    assert kept.bytes == 0 and not any(map(kept.get, "abcd"))


CONV = """graph "task" (%x: f32[1,24,9,9]@NCHW8c, %w: f32[20,24,3,3]) {
  %y = conv(%x, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1]} : f32[1,20,9,9]
  %z = relu(%y) : f32[1,20,9,9]@NCHW8c
  return %z "y"
}
"""


def test_real_templates_with_packed_weights_and_pad_lanes(measurer: TrialMeasurer) -> None:
    task = task_of(CONV, (1,))
    choice = select.select(task)
    config = {"vectors": 1, "rows": 1, "cols": 3}
    trials = [
        Trial(task.text, choice.template.name, {}),
        Trial(task.text, "conv_f32_direct__x86", config),
    ]
    for outcome in measurer.measure(trials):
        assert outcome.status is Status.OK, outcome


def test_a_reference_whose_worker_was_killed_is_computed_again(
    measurer: TrialMeasurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All candidates of the task would be lost otherwise."""
    task = task_of(RELU.replace("7", "11"))
    attempt, killed = WorkerPool.attempt, iter([True])

    def once_killed(pool: WorkerPool, jobs: Sequence[Errand], timeout: float) -> Sequence[Any]:
        if next(killed, False):
            return [Failed(DIED, "it died (signal 9)", "")] * len(jobs)
        return attempt(pool, jobs, timeout)

    monkeypatch.setattr(WorkerPool, "attempt", once_killed)
    (outcome,) = measurer.measure([Trial(task.text, select.select(task).template.name, {})])
    assert outcome.status is Status.OK, outcome


def test_code_for_another_machine_is_an_error(measurer: TrialMeasurer) -> None:
    task = task_of(RELU, target="llvm -mcpu=cortex-a72 -mtriple=aarch64-linux-gnu")
    with pytest.raises(TargetError, match="cannot run here"):
        list(measurer.measure([Trial(task.text, select.GENERIC, {})]))


SCRIPT = """
import sys
from leip.codegen.kernel_build import WorkerPool
from leip.codegen.trial import TrialLimits, TrialMeasurer
from leip.search.measurer import Trial
pool = WorkerPool(1, [{plugin!r}])
measurer = TrialMeasurer(pool, limits=TrialLimits(run=500.0))
print(measurer._folder, flush=True)
text = open({task!r}).read()
for does in ("right", "hang"):
    for outcome in measurer.measure([Trial(text, {name!r}, dict(does=does))]):
        print(outcome.status.value, flush=True)
"""


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def until(condition: object, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def gone(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat")).read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_processes_and_files_go_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    task = tmp_path / "task.txt"
    task.write_text(task_of(RELU).text)
    script = SCRIPT.format(plugin=str(PLUGIN), task=str(task), name=NAME)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as parent:
        assert parent.stdout is not None
        folder = Path(parent.stdout.readline().strip())
        assert parent.stdout.readline().strip() == "ok"
        children = children_of(parent.pid)
        assert len(children) >= 2 and folder.is_dir()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    assert until(lambda: all(map(gone, children)))
    assert until(lambda: not folder.exists())
