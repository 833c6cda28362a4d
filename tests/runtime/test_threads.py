"""Threads: several engines at once, fork, idle workers, defaults."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import numpy as np
import pytest
from lre_toy import COLUMNS, C, compile_c, run_python

import leip.runtime as runtime
from leip.runtime import sources
from leip.runtime.tail import append_tail

BIG = 9 << 20  # bytes of weights


def test_one_two_three_threads_at_once(toy, toy_path):
    errors = []

    def work(threads: int) -> None:
        try:
            for seed in range(5):
                with runtime.load(toy_path, threads=threads) as engine:
                    feeds = toy.feeds(seed)
                    for _ in range(40):
                        toy.check(engine.infer(feeds), feeds)
        except Exception as error:  # noqa: BLE001 - told to the main thread
            errors.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not errors


def test_one_engine_many_threads(toy, toy_path):
    """They wait their turn."""
    errors = []
    with runtime.load(toy_path, threads=2) as engine:

        def work(seed: int) -> None:
            try:
                feeds = toy.feeds(seed)
                for _ in range(50):
                    toy.check(engine.infer(feeds), feeds)
            except Exception as error:  # noqa: BLE001 - told to the main thread
                errors.append(error)

        workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert not errors


def test_inference_from_an_observer(toy, toy_path):
    """Another engine may run inside a callback."""
    feeds = toy.feeds()
    with runtime.load(toy_path, threads=2) as outer, runtime.load(toy_path, threads=2) as inner:
        outer.observe(lambda *_: toy.check(inner.infer(feeds), feeds))
        toy.check(outer.infer(feeds), feeds)


def test_fork(toy, toy_path):
    """A child uses its parent's engine and makes its own."""
    feeds = toy.feeds()
    with runtime.load(toy_path, threads=2) as engine:
        toy.check(engine.infer(feeds), feeds)
        for _ in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for _ in range(5):
                        toy.check(engine.infer(feeds), feeds)
                    with runtime.load(toy_path, threads=3) as other:
                        toy.check(other.infer(feeds), feeds)
                    engine.close()
                    code = 0
                finally:
                    os._exit(code)
            toy.check(engine.infer(feeds), feeds)
            assert os.waitpid(child, 0)[1] == 0
        toy.check(engine.infer(feeds), feeds)


def cpu_of_other_threads() -> float:
    """Seconds of CPU of this process without the calling thread."""
    return time.process_time() - time.thread_time()


def test_idle_engine_sleeps(toy, toy_path):
    feeds = toy.feeds()
    with runtime.load(toy_path, threads=4) as engine:
        engine.infer(feeds)
        time.sleep(0.05)
        before = cpu_of_other_threads()
        time.sleep(1.0)
        assert cpu_of_other_threads() - before <= 0.01
        toy.check(engine.infer(feeds), feeds)


def n_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_pool_grows_and_ends(toy_path):
    before = n_threads()
    with runtime.load(toy_path, threads=2):
        assert n_threads() == before + 1
        with runtime.load(toy_path, threads=4):
            assert n_threads() == before + 3
        with runtime.load(toy_path, threads=1):
            assert n_threads() == before + 3
    assert n_threads() == before


def test_default_threads(toy, toy_path, tmp_path):
    """min(stored, CPUs of this process)."""
    many = toy.build(tmp_path, threads=64)
    cpus = len(os.sched_getaffinity(0))
    with runtime.load(many) as engine:
        assert 1 <= engine.threads <= cpus
    with runtime.load(toy_path) as engine:
        assert engine.threads <= 2
    code = f"""
        import os
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        from leip.runtime import load
        print(load({str(many)!r}).threads, load({str(many)!r}, threads=3).threads)"""
    assert run_python(code).split() == ["1", "3"]


@pytest.fixture(scope="module")
def forkjoin(engine_objects, tmp_path_factory):
    path = tmp_path_factory.mktemp("forkjoin") / "modelLibrary.so"
    compile_c(path, [C / "forkjoin.c", *engine_objects], sources.LINK_FLAGS)
    append_tail(path, "forkjoin")
    return path


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_task_runs_once(forkjoin, threads):
    with runtime.load(forkjoin, threads=threads) as engine:
        for tasks in (0, 1, 2, threads, 7, 64):
            assert engine.infer(np.array([tasks]))["right"] == [2000], (threads, tasks)


def test_fork_join_is_cheap(forkjoin):
    """About 0.4 us when nothing else runs (docs/runtime.md); here only that nobody sleeps."""
    with runtime.load(forkjoin, threads=2) as engine:
        ns = engine.profile({"tasks": np.array([2])}, runs=20)[0].ns
    assert ns / 2000 < 20_000


@pytest.fixture(scope="module")
def stacks(engine_objects, tmp_path_factory):
    files = [C / "toy.c", C / "stacks.c", *engine_objects]
    return compile_c(tmp_path_factory.mktemp("stacks") / "stacks", files, ["-DTOY_POINTER=1"])


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_stacks_keep_their_distance(stacks, size):
    """A prefetcher that runs beyond one finds as many bytes that no other thread writes."""
    run = subprocess.run([stacks, str(size)], check=True, capture_output=True, text=True)
    capacity, apart = map(int, run.stdout.split())
    assert capacity == size
    assert apart >= size


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "sanitizer, tasks", [("address,undefined", 0), ("address,undefined", 5), ("thread", 0)]
)
def test_sanitizers(tmp_path, sanitizer, tasks, big):
    """`big`: with weights in the program's tail, some of which move to huge pages meanwhile."""
    program = tmp_path / "stress"
    flags = ["-std=c11", "-g", "-O1", f"-fsanitize={sanitizer}", "-DLRE_NO_SYMVER"]
    flags += [f"-DTOY_TASKS={tasks}", f"-I{sources.INCLUDE}"]
    flags += [f"-DTOY_C_OFFSET={BIG}", "-DHOLD"] if big else ["-DTOY_POINTER=1"]
    if sanitizer == "thread":
        flags += ["-DNO_FORK"]
    else:
        flags += ["-fno-sanitize-recover=undefined"]
    files = [*sources.ENGINE, C / "toy.c", C / "stress.c"]
    command = ["gcc", *flags, *map(str, files), "-o", str(program), *sources.LINK_LIBRARIES]
    result = subprocess.run(command, capture_output=True, text=True)
    if "cannot find -l" in result.stderr:
        pytest.skip("the sanitizer's library is not installed")
    assert result.returncode == 0, result.stderr
    if big:
        append_tail(program, "toy-build-1", [np.full(BIG // 4 + COLUMNS, 2, np.float32).tobytes()])
    result = subprocess.run([str(program)], capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in result.stderr:
        pytest.skip("ThreadSanitizer does not work on this kernel")
    assert result.stdout == "ok\n", result.stderr


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
@pytest.mark.skipif(max(os.sched_getaffinity(0)) > 30, reason="masks.c looks at CPUs 0 to 30")
def test_a_worker_leaves_the_cpu_of_the_launching_thread(forkjoin, tmp_path):
    """Both are put on one CPU; the worker asks to move, and may then run where it could before.

    Where it runs is the scheduler's affair, which may move it first: what counts is what it asks.
    """
    code = """
        import ctypes, os, sys, time
        import numpy as np
        from leip.runtime import load

        masks = ctypes.CDLL(sys.argv[2])

        def moved():
            time.sleep(0.1)
            while masks.masks_n_calls() % 2 and time.monotonic() < end:
                time.sleep(0.01)  # it moves by two settings of its mask

        first, second = sorted(os.sched_getaffinity(0))[:2]
        before = set(os.listdir("/proc/self/task"))
        engine = load(sys.argv[1], threads=2)
        engine.infer(np.array([2]))
        (worker,) = map(int, set(os.listdir("/proc/self/task")) - before)
        os.sched_setaffinity(0, {first})
        end = time.monotonic() + 60
        moved()  # the worker may have been moving since the first inference
        masks.masks_reset()
        while masks.masks_n_calls() == 0 and time.monotonic() < end:
            os.sched_setaffinity(worker, {first})
            time.sleep(0.01)  # longer than it stays awake
            os.sched_setaffinity(worker, {first, second})
            for _ in range(100):
                engine.infer(np.array([2]))
        moved()
        print(masks.masks_left_out(first), masks.masks_left_out(second))
        print(masks.masks_n_calls() % 2, os.sched_getaffinity(worker) == {first, second})"""
    shim = compile_c(tmp_path / "masks.so", [C / "masks.c"], ["-shared", "-fvisibility=default"])
    printed = run_python(code, str(forkjoin), str(shim), env={"LD_PRELOAD": str(shim)})
    assert printed.split() == ["1", "0", "0", "True"]
