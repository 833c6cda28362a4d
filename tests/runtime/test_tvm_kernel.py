"""Kernels that TVM compiled, in the engine, also in a process that has TVM loaded."""

from __future__ import annotations

import numpy as np
import pytest
from lre_toy import C, compile_c, run_python

import leip.runtime as runtime
from leip.runtime import LreFault, sources
from leip.runtime.tail import append_tail

# C[i, j] = exp(A[i, j]) + (fault if B[i] >= 64), T = 2 C + C^T: two parallel loops and a workspace.
COMPILE_KERNELS = """
    import sys
    import tvm
    from tvm import s_tir, te
    target = tvm.target.Target({"kind": "llvm", "mcpu": "x86-64-v2", "num-cores": 2})
    A, B = te.placeholder((64, 64), name="A"), te.placeholder((64,), "int64", name="B")
    one = tvm.tirx.const(1, "int64")
    fault = lambda i: tvm.tirx.call_extern("int64", "lre_fault", one, B[i]).astype("float32")
    X = te.compute((64, 64), lambda i, j: te.exp(A[i, j])
                   + te.if_then_else(B[i] >= 64, fault(i), 0.0), name="X")
    T = te.compute((64, 64), lambda i, j: X[i, j] * 2.0 + X[j, i], name="T")
    sch = s_tir.Schedule(te.create_prim_func([A, B, T]))
    for name in ("T", "X"):
        sch.parallel(sch.get_loops(sch.get_sblock(name))[0])
    for i in range(2):  # k0 with all checks of its arguments, k1 without
        module = tvm.IRModule({f"k{i}": sch.mod["main"].with_attr("global_symbol", f"k{i}")})
        with tvm.transform.PassContext(config={"tirx.disable_assert": i == 1}):
            library = tvm.compile(module.with_attr("system_lib_prefix", f"m{i}_"), target=target)
        library.mod.write_to_file(f"{sys.argv[1]}/k{i}.o", "o")
"""

INFER_BESIDE_TVM = """
    import sys
    import numpy as np
    import tvm
    import leip.runtime as runtime
    a = np.load(sys.argv[2])
    with runtime.load(sys.argv[1], threads=2) as engine:
        np.save(sys.argv[3], engine.infer({"a": a, "b": np.zeros(64, np.int64)})["out"])
"""


@pytest.fixture(scope="module")
def library(engine_objects, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tvm")
    run_python(COMPILE_KERNELS, str(folder))
    path = folder / "modelLibrary.so"
    kernels = [folder / "k0.o", folder / "k1.o"]
    compile_c(path, [C / "tvm_model.c", *kernels, *engine_objects], sources.LINK_FLAGS)
    append_tail(path, "tvm")
    return path


def reference(a: np.ndarray) -> np.ndarray:
    for _ in range(2):
        x = np.exp(a.astype(np.float64))
        a = x * 2 + x.T
    return a


@pytest.fixture
def a():
    return np.random.default_rng(0).uniform(-1, 0.1, (64, 64)).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_tvm_kernels(library, a, threads):
    b = np.arange(64)
    with runtime.load(library, threads=threads) as engine:
        for _ in range(5):
            np.testing.assert_allclose(engine.infer({"a": a, "b": b})["out"], reference(a), 1e-5)
        b[7] = 99
        with pytest.raises(LreFault, match=r"kernel k0 .*index 99 out of range"):
            engine.infer({"a": a, "b": b})


def test_beside_tvm(library, a, tmp_path):
    """TVM's own TVMBackendParallelLaunch is visible in this process; the object uses its own."""
    np.save(tmp_path / "a.npy", a)
    files = [str(tmp_path / "a.npy"), str(tmp_path / "out.npy")]
    run_python(INFER_BESIDE_TVM, str(library), *files)
    with runtime.load(library, threads=2) as engine:
        alone = engine.infer({"a": a, "b": np.zeros(64, np.int64)})["out"]
    np.testing.assert_array_equal(np.load(files[1]), alone)
