"""A compiled model as a whole: what it needs and shows, and that it is right wherever it runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from models import builders
from onnx import TensorProto

import leip


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


def test_needs_and_symbols(tiny_object: Path) -> None:
    library = str(tiny_object / "modelLibrary.so")
    if not shutil.which("ldd") or not shutil.which("nm"):
        pytest.skip("ldd and nm are missing (Debian: apt install binutils)")
    needed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0].rpartition("/")[2].partition(".")[0] for line in needed.splitlines()}
    assert names <= {"linux-vdso", "libc", "libm", "libpthread", "ld-linux-x86-64"}
    shown = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    assert shown and all(line.split()[-1].startswith("lre_") for line in shown.splitlines())


@pytest.mark.parametrize("first", ["", "import tvm"])
def test_same_numbers_beside_tvm(
    tiny_object: Path, image: np.ndarray, tmp_path: Path, first: str
) -> None:
    """TVM loads its runtime for all to see; the object must not bind to it."""
    np.save(tmp_path / "x.npy", image)
    code = (
        f"{first}\nimport sys, numpy as np\nfrom leip.runtime import load\n"
        "y = load(sys.argv[1]).infer(np.load('x.npy'))['logits']\nnp.save('y.npy', y)"
    )
    subprocess.run([sys.executable, "-c", code, str(tiny_object)], cwd=tmp_path, check=True)
    wanted = leip.load(tiny_object).infer(image)["logits"]
    assert np.array_equal(np.load(tmp_path / "y.npy"), wanted)


def test_two_inferences_share_no_memory(tiny_object: Path, image: np.ndarray) -> None:
    with leip.load(tiny_object) as engine:
        first = engine.infer(image)["logits"]
        kept = first.copy()
        second = engine.infer(image * 2)["logits"]
        assert not np.shares_memory(first, second)
        assert np.array_equal(first, kept) and not np.array_equal(first, second)


def test_memory_of_big_results_is_used_again(tmp_path: Path) -> None:
    """But only when no array over it is left, and not after the engine is closed."""
    b = builders.Builder("big")
    size = 9_000_000
    y = b.node("Expand", "x", b.ints(size))
    model = b.finish([("x", TensorProto.FLOAT, [1])], [(y, "y", TensorProto.FLOAT, [size])])
    builders.save(model, tmp_path / "big.onnx")
    leip.compile(tmp_path / "big.onnx", tmp_path / "out")
    with leip.load(tmp_path / "out") as engine:
        first = engine.infer(np.float32([1]))["y"]
        tail = first[-5:]
        address = first.ctypes.data
        assert address % 64 == 0 and first.flags.writeable
        del first
        second = engine.infer(np.float32([2]))["y"]
        assert not np.shares_memory(second, tail) and (tail == 1).all() and (second == 2).all()
        del tail
        third = engine.infer(np.float32([3]))["y"]
        assert third.ctypes.data == address
        assert (third == 3).all() and (second == 2).all()
    assert (third == 3).all()


def test_one_two_and_three_threads_at_the_same_time(tiny_object: Path, image: np.ndarray) -> None:
    wanted = leip.load(tiny_object, threads=1).infer(image)["logits"]
    failures: list[str] = []

    def work(threads: int) -> None:
        with leip.load(tiny_object, threads=threads) as engine:
            for _ in range(50):
                result = engine.infer(image)["logits"]
                if not np.allclose(result, wanted, rtol=0, atol=1e-6):
                    failures.append(f"{threads} threads: {np.abs(result - wanted).max()}")
                    return

    workers = [threading.Thread(target=work, args=(threads,)) for threads in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_lre_py_is_a_program_of_its_own(tiny_object: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(tiny_object / "lre.py"), str(tiny_object)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "output logits: float32[1, 5]" in done.stdout
