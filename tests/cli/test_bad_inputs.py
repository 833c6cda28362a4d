"""Everything that can be wrong with what a user gives: one clear screen, the right exit code,
nothing half-written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Cli
from models import builders
from onnx import TensorProto, helper


def nothing_written(folder: Path) -> bool:
    return not folder.exists()


def compile_fails(cli: Cli, code: int, model: Path, *words: str) -> str:
    """A failing compile that leaves no folder behind."""
    out = cli.folder / "new" / "OUT"
    text = cli.fails(code, "compile", "--input_path", model, "--output_path", out, *words)
    assert nothing_written(out) and nothing_written(out.parent)
    return text


# --- models ---------------------------------------------------------------------------------------


def test_missing_file(cli: Cli) -> None:
    text = compile_fails(cli, 1, Path("nothing.onnx"))
    assert "no such file" in text and "nothing.onnx" in text


def test_truncated_onnx(cli: Cli, tiny_onnx: Path) -> None:
    path = cli.folder / "cut.onnx"
    path.write_bytes(tiny_onnx.read_bytes()[:700])
    text = compile_fails(cli, 1, path)
    assert "truncated" in text and "cut.onnx" in text


@pytest.mark.parametrize("content", [b"hello, world\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b""])
def test_not_an_onnx_file(cli: Cli, content: bytes) -> None:
    path = cli.folder / "not.onnx"
    path.write_bytes(content)
    text = compile_fails(cli, 1, path)
    assert "not.onnx" in text


def test_folder_without_and_with_several_models(cli: Cli, tiny_onnx: Path) -> None:
    folder = cli.folder / "models"
    folder.mkdir()
    assert "no .onnx file" in compile_fails(cli, 1, folder)
    shutil.copy(tiny_onnx, folder / "a.onnx")
    shutil.copy(tiny_onnx, folder / "b.onnx")
    assert "a.onnx, b.onnx" in compile_fails(cli, 1, folder)


def test_unknown_ops_are_reported_together(cli: Cli) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], name="first", domain="com.example"),
        helper.make_node("NonMaxSuppression", ["x", "x"], ["b"], name="second"),
        helper.make_node("Sum", ["a", "x", "b"], ["y"], name="third"),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=opsets)
    path = cli.folder / "ops.onnx"
    path.write_bytes(model.SerializeToString())
    text = compile_fails(cli, 1, path)
    for word in ("Frobnicate", "first", "NonMaxSuppression", "second", "17"):
        assert word in text


def test_dynamic_dimension_without_a_shape(cli: Cli) -> None:
    path = builders.save(builders.bert(dynamic=True), cli.folder / "dynamic.onnx")
    text = compile_fails(cli, 2, path)
    assert "input_ids" in text and "batch" in text and "sequence" in text
    assert "--input_shapes input_ids:" in text


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("image:1,3", "dimensions"),
        ("picture:1,3,8,8", "image"),
        ("image", "NAME:1,3,224,224"),
        ("image:a,b", "NAME:1,3,224,224"),
        ("image:1,3,0,8", "0"),
        ("image:1,3.5,8,8", "NAME:1,3,224,224"),
        ("image:1,-3,8,8", "NAME:1,3,224,224"),
        ("image:", "NAME:1,3,224,224"),
        ("", "NAME:1,3,224,224"),
        ("image:1," + "9" * 5000, "NAME:1,3,224,224"),
    ],
)
def test_wrong_input_shapes(cli: Cli, tiny_onnx: Path, shape: str, message: str) -> None:
    assert message in compile_fails(cli, 2, tiny_onnx, "--input_shapes", shape)


def test_shape_that_the_model_contradicts_names_the_node(cli: Cli, tiny_onnx: Path) -> None:
    text = compile_fails(cli, 1, tiny_onnx, "--input_shapes", "image:1,4,8,8")
    assert "Conv_0" in text and "--input_shapes" in text


# --- targets, layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "messages"),
    [
        (("llvm", "-mcpu=skylakee"), ("skylakee", "skylake")),
        (("llvm", "-mattr=+avx3"), ("avx3",)),
        (("llvm", "-mtriple=z80-cpm"), ("z80",)),
        (("llvm", "-model=bcm9999"), ("bcm9999", "bcm2837")),
        (("llvm", "-mcpu"), ("-mcpu",)),
        (("vulkan",), ("vulkan", "llvm")),
    ],
)
def test_unknown_targets(
    cli: Cli, tiny_onnx: Path, target: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    text = compile_fails(cli, 1, tiny_onnx, "--target", *target)
    for message in messages:
        assert message in text


def test_layout_conversion_below_level_3(cli: Cli, tiny_onnx: Path) -> None:
    words = ("--layout", "NHWC", "--optimization", "category:kernel,level:2")
    text = compile_fails(cli, 2, tiny_onnx, *words)
    assert "level" in text and "3" in text


def test_inputs_that_nothing_uses(cli: Cli, tiny_onnx: Path) -> None:
    text = compile_fails(cli, 2, tiny_onnx, "--input", "image=x.npy")
    assert "--input" in text and "add --verify" in text


def test_verify_refused_for_a_target_that_cannot_run_here(cli: Cli, tiny_onnx: Path) -> None:
    text = compile_fails(
        cli, 2, tiny_onnx, "--verify", "--target", "llvm", "-mtriple=aarch64-linux-gnu"
    )
    assert "--verify" in text and "aarch64" in text


# --- output ---------------------------------------------------------------------------------------


def test_output_is_a_file(cli: Cli, tiny_onnx: Path) -> None:
    out = cli.folder / "taken"
    out.write_text("mine")
    text = cli.fails(1, "compile", "--input_path", tiny_onnx, "--output_path", out)
    assert "not a folder" in text and out.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_without_permission(cli: Cli, tiny_onnx: Path) -> None:
    parent = cli.folder / "locked"
    parent.mkdir(mode=0o500)
    text = cli.fails(1, "compile", "--input_path", tiny_onnx, "--output_path", parent / "OUT")
    assert "permission denied" in text


def test_output_below_a_kernel_folder(cli: Cli, tiny_onnx: Path) -> None:
    """Where not even root may write."""
    text = cli.fails(1, "compile", "--input_path", tiny_onnx, "--output_path", "/proc/nothing/OUT")
    assert "/proc/nothing" in text


def test_no_c_compiler(cli: Cli, tiny_onnx: Path) -> None:
    """Neither on the PATH nor as a Python package (cc names one that is not there)."""
    text = compile_fails(cli, 1, tiny_onnx, "--cc", "no-such-compiler")
    assert "no-such-compiler" in text


def test_disk_full(cli: Cli, tiny_onnx: Path) -> None:
    """The file size limit of the process stands in for a full disk: writes fail in the middle."""
    out = cli.folder / "OUT"
    out.mkdir()
    (out / "modelLibrary.so").write_bytes(b"old")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from leip.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, resource.RLIM_INFINITY))\n"
        f"sys.exit(main(['compile', '--input_path', {str(tiny_onnx)!r}, '--output_path', 'OUT']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.folder, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.startswith("error: ")
    assert [path.name for path in out.iterdir()] == ["modelLibrary.so"]
    assert (out / "modelLibrary.so").read_bytes() == b"old"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(cli: Cli, tiny_onnx: Path, closed: str) -> None:
    command = f"{sys.executable} -m leip.cli.main compile --input_path {tiny_onnx}"
    done = subprocess.run(
        ["sh", "-c", f"{command} --output_path OUT {closed}"], cwd=cli.folder, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"error" not in done.stderr and (cli.folder / "OUT" / "modelLibrary.so").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(cli: Cli, tiny_onnx: Path) -> None:
    command = f"{sys.executable} -m leip.cli.main inspect --input_path {tiny_onnx} >/dev/full"
    done = subprocess.run(["sh", "-c", command], cwd=cli.folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device\n  where: standard output\n")
    assert len(done.stderr.splitlines()) == 3


def test_two_compiles_into_one_folder(cli: Cli, tiny_onnx: Path) -> None:
    out = cli.folder / "OUT"
    code = (
        "import sys, time\nfrom leip.codegen.package import OutputFolder\n"
        "with OutputFolder('OUT'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=cli.folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        text = cli.fails(1, "compile", "--input_path", tiny_onnx, "--output_path", out)
        assert str(holder.pid) in text
    finally:
        holder.terminate()
        holder.wait()


# --- objects --------------------------------------------------------------------------------------


def damaged(cli: Cli, source: Path, change: str) -> Path:
    folder = cli.folder / "damaged"
    shutil.copytree(source, folder)
    path = folder / "modelLibrary.so"
    data = path.read_bytes()
    if change == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif change == "foreign":
        path.write_bytes(Path(sys.executable).resolve().read_bytes()[:200000])
    elif change == "text":
        path.write_text("hello")
    elif change == "empty":
        path.write_bytes(b"")
    return folder


@pytest.mark.parametrize("change", ["truncated", "foreign", "text", "empty"])
@pytest.mark.parametrize("command", ["run", "benchmark", "inspect"])
def test_damaged_objects_are_refused(
    cli: Cli, tiny_object: Path, change: str, command: str
) -> None:
    folder = damaged(cli, tiny_object, change)
    text = cli.fails(1, command, "--input_path", folder)
    assert "modelLibrary.so" in text


def test_run_without_an_object(cli: Cli) -> None:
    assert "no such file" in cli.fails(1, "run", "--input_path", "nowhere")


def test_object_for_another_cpu(cli: Cli, tiny_onnx: Path) -> None:
    """AMX-FP16 and friends: a CPU whose features no test machine has all of."""
    from leip.codegen.resolver import resolve, runs_here

    names = ("diamondrapids", "graniterapids", "znver5", "sapphirerapids", "cannonlake")
    for name in names:
        target = resolve(f"llvm -mcpu={name}")
        if runs_here(target):
            break
    else:
        pytest.skip("this CPU runs code for all of them")
    out = cli.folder / "OUT"
    words = ("compile", "--input_path", tiny_onnx, "--output_path", out)
    done = cli(*words, "--target", "llvm", f"-mcpu={name}")
    assert done.returncode == 0, done.stderr
    assert "lacks" in cli.fails(1, "run", "--input_path", out)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("image=missing.npy", "missing.npy"),
        ("picture=x.npy", "image"),
        ("image=text.npy", "not a .npy file"),
        ("image=wrong.npy", "shape"),
        ("image=double.npy", "float64"),
    ],
)
def test_wrong_run_inputs(cli: Cli, tiny_object: Path, value: str, message: str) -> None:
    np.save(cli.folder / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    np.save(cli.folder / "wrong.npy", np.zeros((1, 3, 9, 9), np.float32))
    np.save(cli.folder / "double.npy", np.zeros((1, 3, 8, 8)))
    (cli.folder / "text.npy").write_text("hello")
    done = cli("run", "--input_path", tiny_object, "--input", value)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert message in done.stderr


def test_damaged_cache_entry_is_built_again(cli: Cli, tiny_onnx: Path) -> None:
    cache = cli.folder / "cache"
    words = ("compile", "--input_path", tiny_onnx, "--output_path", "OUT", "--cache_dir", cache)
    assert cli(*words).returncode == 0
    entries = sorted(cache.rglob("*.leip"))
    assert entries
    for entry in entries:
        data = bytearray(entry.read_bytes())
        data[len(data) // 2] ^= 0xFF
        entry.write_bytes(data)
    before = (cli.folder / "OUT" / "modelLibrary.so").read_bytes()
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stdout
    assert (cli.folder / "OUT" / "modelLibrary.so").read_bytes() == before


# --- the program itself ---------------------------------------------------------------------------


def test_unexpected_exceptions_show_no_traceback(cli: Cli) -> None:
    code = (
        "import sys\nfrom leip import driver\nfrom leip.cli.main import main\n"
        "def broken(*a, **k): raise RuntimeError('a bug')\n"
        "driver.compile_with = broken\n"
        "sys.exit(main(['compile', '--input_path', 'a', '--output_path', 'b', *sys.argv[1:]]))"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, cwd=cli.folder)
    assert done.returncode == 1
    assert "internal error: RuntimeError: a bug" in done.stderr and "--debug" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run([*words, "--debug"], capture_output=True, text=True, cwd=cli.folder)
    assert done.returncode != 0 and "Traceback" in done.stderr


@pytest.mark.parametrize("command", ["run", "benchmark"])
def test_a_model_that_is_not_compiled_yet(cli: Cli, tiny_onnx: Path, command: str) -> None:
    text = cli.fails(1, command, "--input_path", tiny_onnx)
    assert text.startswith("error: this is not a shared object") and "leip compile" in text
    text = cli.fails(1, command, "--input_path", "nowhere")
    assert text.startswith("error: no such file or folder\n") and "--output_path" in text
    text = cli.fails(1, command, "--input_path", cli.folder)
    assert text.startswith("error: there is no modelLibrary.so") and "--output_path" in text


def test_interrupt_is_clean(cli: Cli) -> None:
    import signal

    model = builders.save(builders.mobilenet_v2(), cli.folder / "m.onnx")
    words = ["compile", "--input_path", str(model), "--output_path", "OUT", "--cache_dir", "cache"]
    process = subprocess.Popen(
        [sys.executable, "-m", "leip.cli.main", *words],
        cwd=cli.folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (cli.folder / "OUT").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=30)
    assert process.returncode == 130, text
    assert text.strip() == "interrupted"
    assert not (cli.folder / "OUT").exists()


def test_an_interrupt_while_modules_load(cli: Cli) -> None:
    code = (
        "import builtins, sys\nfrom leip.cli.start import main\nload = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'typer': raise KeyboardInterrupt\n"
        "    return load(name, *rest)\n"
        "builtins.__import__ = interrupted\nsys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")


def test_an_interrupt_that_a_library_swallows_still_counts(cli: Cli, tiny_onnx: Path) -> None:
    code = (
        "import signal, sys\nfrom leip.cli.main import main\nfrom leip.driver import compiling\n"
        "real = compiling.read_graph\n"
        "def read(*a, **k):\n"
        "    try: signal.raise_signal(signal.SIGINT)\n"
        "    except BaseException: pass\n"
        "    return real(*a, **k)\n"
        "compiling.read_graph = read\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["compile", "--input_path", str(tiny_onnx), "--output_path", "OUT"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=cli.folder
    )
    assert (done.returncode, done.stderr.strip()) == (130, "interrupted")
    assert not (cli.folder / "OUT").exists()


def test_onnx_is_only_read(cli: Cli, tiny_onnx: Path) -> None:
    before = tiny_onnx.read_bytes()
    onnx.load(str(tiny_onnx))
    assert cli("inspect", "--input_path", tiny_onnx).returncode == 0
    assert tiny_onnx.read_bytes() == before
