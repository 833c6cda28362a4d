"""The commands do what their page says, on a small model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli
from models import builders
from onnx import TensorProto
from runners import OnnxRuntime
from tolerances import SMALL_NETWORK

import leip


def test_compile_and_run(cli: Cli, tiny_onnx: Path) -> None:
    out = cli.folder / "deep" / "er" / "OUT"
    words = ["compile", "--input_path", tiny_onnx, "--output_path", out]
    words += ["--optimization", "category:kernel,level:3", "--target", "llvm", "--crc_check"]
    words += ["--model_id", "my-model", "--dump_ir", "ir", "--threads", "1", "--jobs", "1"]
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bars where there is no terminal
    for word in ("modelLibrary.so", "my-model", "llvm -mtriple=", "glibc", "kernels"):
        assert word in done.stdout
    names = {path.name for path in out.iterdir()}
    assert names == {"modelLibrary.so", "model_schema.json", "lre.py"}
    schema = json.loads((out / "model_schema.json").read_text())
    assert schema["model_id"] == "my-model" and "weights_crc32" in schema and schema["date"]
    assert schema["inputs"][0]["layout"] == "NCHW"

    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    np.save(cli.folder / "x.npy", x)
    done = cli("run", "--input_path", out, "--inference_context", "cpu",
               "--input", "image=x.npy", "--output_dir", "results")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "logits" in done.stdout and "float32[1, 5]" in done.stdout and "ran in" in done.stdout
    wanted = OnnxRuntime(tiny_onnx, {"image": x}, 1).run()["logits"]
    result = np.load(cli.folder / "results" / "logits.npy")
    assert np.abs(result - wanted).max() <= SMALL_NETWORK * np.abs(wanted).max()


def test_run_with_random_inputs_of_legal_ids(cli: Cli) -> None:
    model = builders.bert(layers=1, sequence=8, width=16, heads=2, vocabulary=30)
    builders.save(model, cli.folder / "bert.onnx")
    assert cli("compile", "--input_path", "bert.onnx", "--output_path", "OUT").returncode == 0
    done = cli("run", "--input_path", "OUT")
    assert done.returncode == 0, done.stderr
    assert "random values for: input_ids, attention_mask, token_type_ids" in done.stdout
    facts = {
        entry["name"]: entry for entry in leip.load(cli.folder / "OUT").get_metadata()["inputs"]
    }
    assert facts["input_ids"]["max_id"] == 29 and facts["token_type_ids"]["max_id"] == 1


def test_dynamic_shapes(cli: Cli) -> None:
    model = builders.bert(layers=1, width=16, heads=2, vocabulary=30, dynamic=True)
    builders.save(model, cli.folder / "bert.onnx")
    names = ("input_ids", "attention_mask", "token_type_ids")
    shapes = [word for name in names for word in ("--input_shapes", f"{name}:2,5")]
    done = cli("compile", "--input_path", "bert.onnx", "--output_path", "OUT", *shapes)
    assert done.returncode == 0, done.stderr
    assert leip.load(cli.folder / "OUT").output_shapes["last_hidden_state"] == (2, 5, 16)


def test_output_names_are_made_safe(cli: Cli) -> None:
    b = builders.Builder("names")
    x = b.node("Relu", "x")
    y = b.node("Neg", "x")
    model = b.finish(
        [("x", TensorProto.FLOAT, [2])],
        [(x, "a/b", TensorProto.FLOAT, [2]), (y, "a_b", TensorProto.FLOAT, [2])],
    )
    builders.save(model, cli.folder / "m.onnx")
    assert cli("compile", "--input_path", "m.onnx", "--output_path", "OUT").returncode == 0
    assert cli("run", "--input_path", "OUT", "--output_dir", "r").returncode == 0
    assert sorted(path.name for path in (cli.folder / "r").iterdir()) == ["a_b.npy", "a_b_2.npy"]


def test_folder_with_one_model(cli: Cli, tiny_onnx: Path) -> None:
    (cli.folder / "models").mkdir()
    shutil.copy(tiny_onnx, cli.folder / "models")
    assert cli("compile", "--input_path", "models", "--output_path", "OUT").returncode == 0


def test_nhwc(cli: Cli) -> None:
    b = builders.Builder("image")
    y = b.node("Relu", b.conv("x", (3, 8), 3, pad=1))
    model = b.finish(
        [("x", TensorProto.FLOAT, [1, 3, 6, 7])], [(y, "y", TensorProto.FLOAT, [1, 8, 6, 7])]
    )
    path = builders.save(model, cli.folder / "m.onnx")
    done = cli("compile", "--input_path", path, "--output_path", "OUT", "--layout", "NHWC",
               "--verify")  # fmt: skip
    assert done.returncode == 0, done.stderr
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 7)).astype(np.float32)
    with leip.load(cli.folder / "OUT") as engine:
        assert engine.input_shapes == {"x": (1, 6, 7, 3)}
        assert engine.output_shapes == {"y": (1, 6, 7, 8)}
        result = engine.infer(np.ascontiguousarray(x.transpose(0, 2, 3, 1)))["y"]
        assert engine.get_metadata()["inputs"][0]["layout"] == "NHWC"
    wanted = OnnxRuntime(path, {"x": x}, 1).run()["y"].transpose(0, 2, 3, 1)
    assert np.abs(result - wanted).max() <= SMALL_NETWORK * np.abs(wanted).max()


def test_benchmark(cli: Cli, tiny_object: Path) -> None:
    done = cli("benchmark", "--input_path", tiny_object, "--threads", "1", "--seconds", "0.05",
               "--profile", "--json", "f.json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in ("min", "median", "p90", "p99", "share", "Gflop/s", "of peak", "conv"):
        assert word in done.stdout
    figures = json.loads((cli.folder / "f.json").read_text())
    assert figures["threads"] == 1 and figures["min_ms"] <= figures["p99_ms"]
    assert abs(sum(kernel["share"] for kernel in figures["kernels"]) - 1) < 1e-6


def test_inspect(cli: Cli, tiny_onnx: Path, tiny_object: Path) -> None:
    text = cli("inspect", "--input_path", tiny_onnx).stdout
    for word in ("image", "f32[1,3,8,8]", "conv", "batch_norm", "parameters", "flops"):
        assert word in text
    text = cli("inspect", "--input_path", tiny_object).stdout
    for word in ("image", "logits", "build_id", "kernels", "glibc", "bytes of arena"):
        assert word in text


def test_opt(cli: Cli, tiny_onnx: Path) -> None:
    text = cli("opt", tiny_onnx, "-p", "canonicalize,fold-batch-norm").stdout
    assert text.startswith("graph ") and "batch_norm" not in text
    (cli.folder / "g.txt").write_text(
        'graph "g" (%x: f32[4]) {\n  %y = relu(%x) : f32[4]\n  return %y\n}\n'
    )
    done = cli("opt", "g.txt", "-p", "wrap-kernels", "--verify", "--before")
    assert done.returncode == 0 and "kernel" in done.stdout and done.stdout.count("graph") == 2
    assert "canonicalize" in cli("opt", "--list").stdout
    assert "did you mean" in cli.fails(2, "opt", "g.txt", "-p", "wrap-kernel")
    (cli.folder / "bad.txt").write_text("hello")
    assert "line 1" in cli.fails(1, "opt", "bad.txt", "-p", "cse")


def test_cache(cli: Cli, tiny_onnx: Path) -> None:
    words = ("--cache_dir", "cache")
    assert cli("compile", "--input_path", tiny_onnx, "--output_path", "OUT", *words).returncode == 0
    text = cli("cache", "info", *words).stdout
    assert "entries" in text and "cache" in text
    assert "removed" in cli("cache", "clear", *words).stdout
    assert not list((cli.folder / "cache").rglob("*.leip"))


def test_kernel_bench(cli: Cli, tiny_onnx: Path) -> None:
    words = ["compile", "--input_path", tiny_onnx, "--output_path", "OUT", "--dump_ir", "ir"]
    assert cli(*words, "--optimization", "category:kernel,level:2").returncode == 0
    tasks = [path.read_text() for path in sorted((cli.folder / "ir" / "tasks").iterdir())]
    (cli.folder / "t.txt").write_text(next(text for text in tasks if "= conv(" in text))
    done = cli("kernel", "bench", "t.txt")
    assert done.returncode == 0, done.stderr
    for word in ("conv", "template", "largest error", "Gflop/s", "share of peak"):
        assert word in done.stdout
    done = cli("kernel", "bench", "t.txt", "--template", "any_plain__generic", "--config",
               "vectorize=no", "--config", "parallel=no")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "any_plain__generic" in done.stdout and "vectorize=no,parallel=no" in done.stdout
    assert "no template named" in cli.fails(2, "kernel", "bench", "t.txt", "--template", "best")
    (cli.folder / "no_task.txt").write_text("hello")
    assert "not a task" in cli.fails(1, "kernel", "bench", "no_task.txt")


def test_python_api(tiny_onnx: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    report = leip.compile(
        tiny_onnx,
        tmp_path / "OUT",
        target="llvm",
        input_shapes={"image": (2, 3, 8, 8)},
        layout=None,
        optimization={"kernel": 3},
        verify=True,
        progress=lambda step, done, total: steps.append(step),
    )
    assert report.path == tmp_path / "OUT" and report.errors.keys() == {"logits"}
    assert {"import", "passes", "kernels", "verify"} <= set(steps)
    assert set(report.seconds) >= {"import", "passes", "kernels", "link", "verify"}
    engine = leip.load(report.path, inference_context="cpu", threads=1)
    assert engine.input_shapes == {"image": (2, 3, 8, 8)}
    with pytest.raises(leip.LeipError, match="there is none"):
        leip.compile(tiny_onnx, tmp_path / "B", optimization={"kernel": 3, "graph": 0})
    graph = leip.optimize(tiny_onnx, "canonicalize,fold-batch-norm")
    assert all(node.op != "batch_norm" for node in graph.nodes())


def test_same_input_same_bytes(cli: Cli, tiny_onnx: Path) -> None:
    for seed in ("1", "2"):
        words = ("compile", "--input_path", tiny_onnx, "--output_path", f"OUT{seed}")
        done = cli(*words, "--cache_dir", f"c{seed}", env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
    first, second = (cli.folder / f"OUT{seed}" / "modelLibrary.so" for seed in ("1", "2"))
    assert first.read_bytes() == second.read_bytes()


def test_recompile_under_a_loaded_engine(tiny_onnx: Path, tmp_path: Path) -> None:
    """A new engine runs the new code, the old one goes on with the old."""
    other = builders.save(builders.tiny(channels=16), tmp_path / "other.onnx")
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    out = tmp_path / "OUT"
    leip.compile(tiny_onnx, out)
    old = leip.load(out)
    before = old.infer(x)["logits"].copy()
    leip.compile(other, out)
    new = leip.load(out)
    assert np.array_equal(old.infer(x)["logits"], before)
    assert not np.allclose(new.infer(x)["logits"], before)
    assert old.build_id != new.build_id
