"""The object's file: what is refused and why, replacing it, its symbols and size."""

from __future__ import annotations

import copy
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from lre_toy import COMPILE, run_python

import leip.runtime as runtime
from leip.runtime import LreError, sources
from leip.runtime.lre import read_tail


def refused(path: Path, text: str, **options) -> None:
    with pytest.raises(LreError, match=text):
        runtime.load(path, **options)


def edited(source: Path, folder: Path, edit) -> Path:
    """A copy whose bytes went through `edit`."""
    path = folder / "modelLibrary.so"
    data = bytearray(source.read_bytes())
    path.write_bytes(bytes(edit(data) or data))
    return path


@pytest.fixture(scope="module")
def library(toy_path):
    return toy_path / "modelLibrary.so"


# --- files that are no object, or a damaged one


def test_missing(tmp_path):
    refused(tmp_path / "nothing", "no such file or folder")
    refused(tmp_path, r"no modelLibrary\.so in this folder")


def test_foreign_files(tmp_path):
    path = tmp_path / "modelLibrary.so"
    path.write_bytes(b"")
    refused(path, "not a shared object")
    path.write_bytes(b"#!/bin/sh\n" * 100)
    refused(path, "not a shared object")
    foreign = next((Path(np.__file__).parent).rglob("*.so"))
    shutil.copy(foreign, path)
    refused(path, "a shared object, but not one that leip wrote")


@pytest.mark.parametrize("kind", ["a named pipe", "a folder", "a device or a socket"])
def test_no_regular_file(tmp_path, kind):
    path = tmp_path / "modelLibrary.so"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    refused(tmp_path, f"modelLibrary.so: this is no regular file, but {kind}")


def test_path_in_bytes(toy_path):
    assert runtime.load(os.fsencode(toy_path)).input_names
    refused(3.5, "path must be a str, bytes or a path, not 3.5")


@pytest.mark.parametrize("threads", [True, np.True_, 2.0, "2", 0, -1, 257, 2**32 + 2, 2**64 + 2])
def test_odd_counts_of_threads(toy_path, threads):
    refused(toy_path, "threads must be a whole number from 1 to 256", threads=threads)


def test_threads_of_numpy(toy_path):
    assert runtime.load(toy_path, threads=np.int64(2)).threads == 2


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_engines_are_not_copied(toy_path, duplicate):
    """A second owner of one C engine would free it twice."""
    with runtime.load(toy_path) as engine:
        with pytest.raises(TypeError, match=r"cannot be copied or pickled.*load\(engine\.path\)"):
            duplicate(engine)
        engine.warm_up()


def test_executable(library, tmp_path):
    def edit(data):
        struct.pack_into("<H", data, 16, 2)

    refused(edited(library, tmp_path, edit), "not a shared object")


@pytest.mark.parametrize("machine, name", [(183, "aarch64"), (62, "x86_64"), (8, "machine 8")])
def test_other_machine(library, tmp_path, machine, name):
    if name == os.uname().machine:
        pytest.skip("that is this machine")

    def edit(data):
        struct.pack_into("<H", data, 18, machine)

    refused(edited(library, tmp_path, edit), f"compiled for {name}, but this machine is")


def test_32_bit(library, tmp_path):
    def edit(data):
        data[4] = 1

    refused(edited(library, tmp_path, edit), "not a 64-bit")


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_one_flipped_bit_in_the_code(library, tmp_path, place):
    def edit(data):
        (elf_bytes,) = struct.unpack_from("<Q", data, len(data) - 128 + 24)
        at = int(elf_bytes * place)
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]

    refused(edited(library, tmp_path, edit), "damaged: its code is not what was written")


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9, 0.999])
def test_truncated(library, tmp_path, share):
    path = edited(library, tmp_path, lambda data: data[: int(len(data) * share)])
    refused(path, "truncated")


def test_stripped(library, tmp_path):
    path = tmp_path / "modelLibrary.so"
    shutil.copy(library, path)
    subprocess.run(["strip", str(path)], check=True)
    refused(path, "stripped or truncated; copy it again, and do not run strip on it")


def test_longer(library, tmp_path):
    refused(edited(library, tmp_path, lambda data: data + data[-128:]), "damaged: .* should be")


@pytest.mark.parametrize("bit", [31, 40, 63])
def test_code_that_ends_behind_the_file(library, tmp_path, bit):
    def edit(data):
        at = len(data) - 128 + 24
        (elf_bytes,) = struct.unpack_from("<Q", data, at)
        return data[:at] + struct.pack("<Q", elf_bytes | 1 << bit) + data[at + 8 :]

    refused(edited(library, tmp_path, edit), "damaged: its code is not what was written")


def test_newer_tail(library, tmp_path):
    def edit(data):
        data[-120] = 9

    refused(edited(library, tmp_path, edit), "newer leip")


def test_engine_itself_sees_a_missing_tail(toy, tmp_path):
    """The C engine, without lre.py's checks, and through the path that the linker knows."""
    path = toy.build(tmp_path / "a", tail=False)
    other = toy.build(tmp_path / "b", build_id='"other"')
    code = """
        import ctypes, sys
        from leip.runtime.lre import _Options
        library = ctypes.CDLL(sys.argv[1])
        library.lre_error.restype = ctypes.c_char_p
        engine = ctypes.c_void_p()
        options = _Options(ctypes.sizeof(_Options))
        if len(sys.argv) > 2:
            options.path = sys.argv[2].encode()
        print(library.lre_create(ctypes.byref(options), ctypes.byref(engine)))
        print(library.lre_error(None).decode())"""
    text = run_python(code, str(path))
    assert text.startswith("2\n") and "stripped or truncated" in text
    assert "belong to another build (other)" in run_python(code, str(path), str(other))
    assert "cannot open /nowhere" in run_python(code, str(path), "/nowhere")


# --- objects that this machine or engine cannot run


def test_missing_cpu_feature(toy, tmp_path):
    path = toy.build(tmp_path, features='"sse2","xop","tbm"')
    refused(path, r"this CPU lacks xop, tbm, .*compile it for this CPU")


def test_present_cpu_features(toy, tmp_path):
    """What the kernel says is there is found by cpuid too."""
    flags = set(re.findall(r"^flags\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)[0].split())
    names = {"sse4.1": "sse4_1", "sse4.2": "sse4_2", "sse3": "pni", "bmi": "bmi1", "lzcnt": "abm"}
    names |= {"pclmul": "pclmulqdq", "sahf": "lahf_lm", "rdrnd": "rdrand", "sha": "sha_ni"}
    names |= {"avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16", "avxvnni": "avx_vnni"}
    names |= {"avx512vbmi2": "avx512_vbmi2", "avx512bitalg": "avx512_bitalg"}
    names |= {"avx512vpopcntdq": "avx512_vpopcntdq", "avx512fp16": "avx512_fp16"}
    here = [f for f in sources.cpu_features("x86_64") if names.get(f, f) in flags]
    assert "sse2" in here
    with runtime.load(toy.build(tmp_path, features=",".join(f'"{f}"' for f in here))):
        pass


def test_unknown_cpu_feature(toy, tmp_path):
    refused(
        toy.build(tmp_path, features='"fast-unaligned"'), "unknown CPU feature 'fast-unaligned'"
    )


def test_plan_of_another_kind(toy, tmp_path):
    refused(toy.build(tmp_path, kind=2), "a step of a kind that this engine does not know")


def test_other_arch_in_the_plan(toy, tmp_path):
    refused(toy.build(tmp_path, arch='"aarch64"'), "compiled for aarch64")


def test_features_of_llvm(toy):
    """The names are LLVM's."""
    x86, arm = sources.cpu_features("x86_64"), sources.cpu_features("aarch64")
    assert len(set(x86)) == len(x86) and {"avx2", "fma", "avx512f", "avx512vnni"} <= set(x86)
    assert len(set(arm)) == len(arm) and {"neon", "dotprod", "sve", "bf16"} <= set(arm)


# --- checksum


def test_crc(toy, tmp_path):
    crc = f"{zlib.crc32(toy.weights)}u"
    path = toy.build(tmp_path / "a", crc=crc, with_crc=True)
    feeds = toy.feeds()
    with runtime.load(path, crc_check=True) as engine:
        toy.check(engine.infer(feeds), feeds)
    fd = os.open(path, os.O_RDONLY)
    tail = read_tail(fd, "toy")
    os.close(fd)
    assert tail.crc == zlib.crc32(toy.weights) and tail.weights_offset % 65536 == 0

    def edit(data):
        data[tail.weights_offset + 5000] ^= 1

    (tmp_path / "b").mkdir()
    refused(edited(path, tmp_path / "b", edit), "weights are damaged: their CRC-32", crc_check=True)


def test_crc_that_is_not_there(toy_path):
    refused(toy_path, "no checksum .* --crc_check", crc_check=True)


def test_a_refused_load_leaves_other_engines_alone(toy, toy_path):
    feeds = toy.feeds()
    with runtime.load(toy_path) as engine:
        toy.check(engine.infer(feeds), feeds)
        for _ in range(3):
            refused(toy_path, "no checksum", crc_check=True)
        toy.check(engine.infer(feeds), feeds)
        with runtime.load(toy_path) as second:
            toy.check(second.infer(feeds), feeds)
        toy.check(engine.infer(feeds), feeds)


# --- huge pages

BIG = {"c_offset": 9 << 20}  # bytes of weights, beyond what stays mapped


def huge_kilobytes(seconds: float = 0.0, access: str = "r--p") -> int:
    """Anonymous huge pages, by default those that are only read: the weights. Waits for some."""
    deadline = time.monotonic() + seconds
    while True:
        size = 0
        for line in Path("/proc/self/smaps").read_text().splitlines():
            words = line.split()
            if "-" in words[0]:
                counts = words[1] == access
            elif words[0] == "AnonHugePages:" and counts:
                size += int(words[1])
        if size >= 6 << 10 or time.monotonic() >= deadline:
            return size
        time.sleep(0.02)


def needs_huge_pages():
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        text = "no such file"
    if "[always]" not in text and "[madvise]" not in text:
        pytest.skip(f"no transparent huge pages here: {text.strip()}")


def test_big_weights_move_to_huge_pages(toy, tmp_path):
    needs_huge_pages()
    feeds = toy.feeds()
    crc = zlib.crc32(toy.weights_with(BIG["c_offset"]))
    path = toy.build(tmp_path, crc=f"{crc}u", with_crc=True, **BIG)
    before = huge_kilobytes()
    with runtime.load(path, threads=2) as a:
        toy.check(a.infer(feeds), feeds)
        if huge_kilobytes(5) == before:
            pytest.skip("the system gave no huge page")
        toy.check(a.infer(feeds), feeds)
        with runtime.load(path, crc_check=True) as b:  # shares them, and they are right
            toy.check(b.infer(feeds), feeds)
    assert huge_kilobytes() == before


def test_a_big_arena_stands_on_huge_pages(toy, tmp_path):
    needs_huge_pages()
    path = toy.build(tmp_path, arena=7 << 20, workspace=3 << 20)
    before = huge_kilobytes(access="rw-p")
    with runtime.load(path, threads=1) as engine:
        engine.infer(toy.feeds())
        if huge_kilobytes(access="rw-p") == before:
            pytest.skip("the system gave no huge page")
        assert huge_kilobytes(access="rw-p") >= before + (4 << 10)  # each its first


def test_inference_while_weights_move(toy, tmp_path):
    path = toy.build(tmp_path, **BIG)
    feeds = toy.feeds()
    with runtime.load(path, threads=2) as engine:
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            toy.check(engine.infer(feeds), feeds)


def test_weights_stay_mapped_on_request(toy, tmp_path):
    path = toy.build(tmp_path, **BIG)
    before = huge_kilobytes()
    with runtime.load(path, map_weights=True) as engine:
        engine.infer(toy.feeds())
        time.sleep(0.3)
        assert huge_kilobytes() == before


def test_sparse_tables_stay_mapped(toy, tmp_path):
    path = toy.build(tmp_path, dense=2 << 20, **BIG)
    before = huge_kilobytes()
    with runtime.load(path) as engine:
        time.sleep(0.3)
        assert huge_kilobytes() == before
        toy.check(engine.infer(toy.feeds()), toy.feeds())


def test_closed_before_weights_move(toy, tmp_path):
    """The thread that would move them ends with the engine, at once."""
    path = toy.build(tmp_path, **BIG)
    threads, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    start = time.monotonic()
    for _ in range(5):
        runtime.load(path, threads=1).close()
    assert time.monotonic() - start < 0.4
    assert len(os.listdir("/proc/self/task")) == threads
    assert len(os.listdir("/proc/self/fd")) == files


def test_fork_while_weights_move(toy, tmp_path):
    path = toy.build(tmp_path, **BIG)
    code = """
        import os, sys, time, numpy as np
        sys.path.insert(0, sys.argv[1])
        import leip.runtime as runtime
        engine = runtime.load(sys.argv[2], threads=2)
        feeds = engine.random_inputs()
        right = engine.infer(feeds)["g"]
        children = []
        for delay in (0.0, 0.1, 0.01, 0.01, 0.3):
            time.sleep(delay)
            child = os.fork()
            if child == 0:
                same = np.array_equal(engine.infer(feeds)["g"], right)
                engine.close()
                with runtime.load(sys.argv[2], threads=2) as other:
                    same = same and np.array_equal(other.infer(feeds)["g"], right)
                os._exit(0 if same else 1)
            children.append(child)
        print([os.waitpid(child, 0)[1] for child in children])
    """
    assert run_python(code, "", str(path)) == "[0, 0, 0, 0, 0]\n"


# --- several objects, new objects


def test_recompile_while_loaded(toy, tmp_path):
    """A new engine gets the new code; the old one goes on with the old."""
    feeds = toy.feeds()
    engines = []
    for round_ in range(4):
        toy.build(tmp_path, build_id=f'"build-{round_}"', bias=f"{round_}.0f")
        engines.append(runtime.load(tmp_path, threads=2))
        if round_ == 1:
            engines.pop(0).close()  # its descriptor's number is free for the next file
            engines.insert(0, None)
        for bias, engine in enumerate(engines):
            if engine is not None:
                assert engine.build_id == f"build-{bias}"
                toy.check(engine.infer(feeds), feeds, bias)
    for engine in engines:
        if engine is not None:
            engine.close()


def test_descriptor_name_taken_by_a_loaded_object(toy, tmp_path):
    """Two engines on one object: the first, whose descriptor names the mapping, is closed."""
    feeds = toy.feeds()
    toy.build(tmp_path, build_id='"first"', bias="1.0f")
    a = runtime.load(tmp_path)
    b = runtime.load(tmp_path)
    a.close()
    toy.build(tmp_path, build_id='"second"', bias="2.0f")
    c = runtime.load(tmp_path)
    toy.check(b.infer(feeds), feeds, 1.0)
    toy.check(c.infer(feeds), feeds, 2.0)
    b.close()
    c.close()


def test_two_objects_in_one_process(toy, tmp_path):
    feeds = toy.feeds()
    one = toy.build(tmp_path / "one", build_id='"one"', bias="1.0f")
    two = toy.build(tmp_path / "two", build_id='"two"', bias="2.0f", tasks=3)
    with runtime.load(one, threads=2) as a, runtime.load(two, threads=2) as b:
        for _ in range(20):
            toy.check(a.infer(feeds), feeds, 1.0)
            toy.check(b.infer(feeds), feeds, 2.0)


def test_two_engines_share_weights(toy_path):
    def mappings():
        return Path("/proc/self/maps").read_text().count(str(toy_path / "modelLibrary.so"))

    with runtime.load(toy_path):
        one = mappings()
        with runtime.load(toy_path):
            assert mappings() == one > 0


def test_nothing_is_left_behind(toy, toy_path):
    """A closed engine's object is unloaded, its descriptor closed."""

    def state():
        maps = Path("/proc/self/maps").read_text().count("modelLibrary.so")
        return maps, len(os.listdir("/proc/self/fd"))

    feeds = toy.feeds()
    before = state()
    for _ in range(3):
        with runtime.load(toy_path, threads=3) as engine:
            engine.infer(feeds)
        assert state() == before
    with pytest.raises(LreError):
        runtime.load(toy_path, crc_check=True)
    assert state() == before


def test_schema_of_another_build(toy, toy_path, tmp_path):
    shutil.copy(toy_path / "modelLibrary.so", tmp_path)
    beside = tmp_path / "model_schema.json"
    beside.write_text('{"build_id": "toy-build-1"}')
    runtime.load(tmp_path).close()
    beside.write_text('{"build_id": "another"}')
    with pytest.warns(UserWarning, match=r"model_schema\.json .* belongs to another build"):
        runtime.load(tmp_path).close()


# --- symbols, size, fences


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_symbols(library):
    defined = run("nm", "-D", "--defined-only", str(library)).split()[2::3]
    script = sources.VERSION_SCRIPT.read_text()
    header = (sources.INCLUDE / "lre.h").read_text()
    assert sorted(defined) == sorted(re.findall(r"(lre_\w+);", script))
    assert sorted(defined) == sorted(set(re.findall(r"^LRE_API .*?(lre_\w+)\(", header, re.M)))


def test_libraries_and_glibc(library):
    needed = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", str(library)))
    assert all(re.match(r"lib(c|m|pthread)\.so|ld-linux", name) for name in needed)
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", run("objdump", "-T", str(library)))
    assert max((int(a), int(b)) for a, b in versions) <= (2, 17)


def test_engine_size(engine_objects):
    """Text and constants of the engine: 120 KB are allowed, 30 aimed at."""
    rows = run("size", *map(str, engine_objects)).splitlines()[1:]
    assert sum(int(row.split()[0]) for row in rows) <= 30 * 1024


def test_no_tvm():
    code = """
        import sys
        import leip.runtime, leip.runtime.tail, leip.runtime.sources
        assert not [m for m in sys.modules if m.split(".")[0] in ("tvm", "tvm_ffi", "onnx")]
        ours = [m for m in sys.modules if m.startswith("leip.") and "runtime" not in m]
        assert not ours, ours"""
    run_python(code)


def test_lre_py_alone(toy, toy_path, tmp_path):
    """The one file, beside the object, in a process that sees numpy alone."""
    folder = tmp_path / "device"
    shutil.copytree(toy_path, folder)
    shutil.copy(sources.PYTHON_ENGINE, folder)
    numpy_only = tmp_path / "site"
    numpy_only.mkdir()
    packages = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (numpy_only / name).symlink_to(packages / name)
    environment = {"PYTHONPATH": str(numpy_only), "PATH": os.environ["PATH"]}
    for arguments in ([], ["--threads", "1", "--runs", "2"], [str(folder)]):
        command = [sys.executable, "-S", str(folder / "lre.py"), *arguments]
        result = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert result.returncode == 0, result.stderr
        assert "input  x: float32[8, 1000]" in result.stdout
        assert "output t: float32[8]" in result.stdout and " ms (best of" in result.stdout
    (folder / "modelLibrary.so").write_bytes(b"no")
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 1 and result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_few_imports():
    """`import lre` reads ctypes and what numpy has read anyway."""
    code = """
        import sys
        import numpy, ctypes
        before = set(sys.modules)
        sys.path.insert(0, sys.argv[1])
        import lre
        print(sorted(set(sys.modules) - before))"""
    assert run_python(code, str(sources.PYTHON_ENGINE.parent)) == "['lre']\n"


def test_c_program(toy, toy_path, tmp_path):
    """runtime/c/examples/run_lre.c, as docs/runtime.md says to compile and run it."""
    program = tmp_path / "run_lre"
    source = sources.INCLUDE / "examples" / "run_lre.c"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{sources.INCLUDE}"]
    run(COMPILE, *flags, str(source), "-o", str(program), "-ldl")
    feeds = toy.feeds()
    for name, array in feeds.items():
        array.tofile(tmp_path / f"{name}.bin")
    files = [str(tmp_path / f"{name}.bin") for name in feeds]
    library = str(toy_path / "modelLibrary.so")
    text = run(str(program), library, "--threads", "2", "--output-dir", str(tmp_path), *files)
    assert "input  x: code 2, 32 bits, [8,1000]" in text and "2 threads" in text
    expected = toy.expected(feeds)
    for i, name in enumerate(expected):
        result = np.fromfile(tmp_path / f"{i}.bin", np.float32).reshape(expected[name].shape)
        np.testing.assert_allclose(result, expected[name], rtol=1e-5, atol=1e-4)
    failed = subprocess.run([str(program), library, *files[::-1]], capture_output=True, text=True)
    assert failed.returncode == 1 and "another size" in failed.stderr


@pytest.mark.parametrize("target", ["aarch64-linux-gnu.2.28", "x86_64-linux-gnu.2.17"])
def test_cross_compile(tmp_path, target):
    pytest.importorskip("ziglang")
    output = tmp_path / "toy.so"
    files = [*sources.ENGINE, Path(__file__).parent / "c" / "toy.c"]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *sources.COMPILE_FLAGS]
    if target.startswith("aarch64"):
        command += sources.ARM_FLAGS
    command += [f"-I{sources.INCLUDE}", *map(str, files), *sources.LINK_FLAGS, "-o", str(output)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=sources.INCLUDE)
    assert result.returncode == 0, result.stderr
    symbols = run("nm", "-D", "--defined-only", str(output)).split()[2::3]
    assert symbols and all(symbol.startswith("lre_") for symbol in symbols)


def test_aarch64_emulated(toy, tmp_path):
    """The engine's own stress program (without fork, which the emulator cannot do with threads)."""
    pytest.importorskip("ziglang")
    emulator, sysroot = shutil.which("qemu-aarch64"), Path("/usr/aarch64-linux-gnu")
    if emulator is None or not (sysroot / "lib").exists():
        pytest.skip("needs qemu-user and libc6-arm64-cross")
    program = tmp_path / "stress"
    c = Path(__file__).parent / "c"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.28"]
    command += ["-std=c11", "-O2", "-DTOY_POINTER=1", "-DNO_FORK", "-DLRE_NO_SYMVER"]
    command += [*sources.ARM_FLAGS, f"-I{sources.INCLUDE}", *map(str, sources.ENGINE)]
    command += [str(c / "toy.c"), str(c / "stress.c"), "-o", str(program)]
    run(*command, *sources.LINK_LIBRARIES)
    assert run(emulator, "-cpu", "cortex-a72", "-L", str(sysroot), str(program)) == "ok\n"


def test_documentation(toy_path, tmp_path):
    """The Python of docs/runtime.md runs."""
    text = (Path(__file__).parents[2] / "docs" / "runtime.md").read_text()
    (tmp_path / "OUT").symlink_to(toy_path)
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        assert "toy-model float32" in run_python(block, cwd=tmp_path)
