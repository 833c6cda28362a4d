"""Flags, before any model is read: spelling, targets, refusals, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Cli

from leip.cli.main import join_target
from leip.driver.options import (
    CompileOptions,
    Optimization,
    parse_assignment,
    parse_optimization,
)
from leip.errors import UsageError

PAGE_ARM = "-device=arm_cpu -model=bcm2837 -mtriple=aarch64-linux-gnu -mattr=+neon -mcpu=cortex-a72"


def test_target_flags_may_be_unquoted() -> None:
    words = ["compile", "--target", "llvm", *PAGE_ARM.split(), "--verify"]
    assert join_target(words) == ["compile", "--target", f"llvm {PAGE_ARM}", "--verify"]


def test_target_flags_may_be_quoted() -> None:
    words = ["compile", "--target", f"llvm {PAGE_ARM}", "--jobs", "2"]
    assert join_target(words) == words


def test_target_with_equals_sign() -> None:
    assert join_target(["--target=llvm", "-mcpu=skylake"]) == ["--target=llvm -mcpu=skylake"]


def test_other_short_flags_are_left_alone() -> None:
    words = ["opt", "m.txt", "-p", "cse", "--target", "llvm", "-o", "x.txt"]
    assert join_target(words) == words


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        ([], 3),
        (["category:kernel,level:1"], 1),
        (["category:kernel,level:4"], 4),
        (["category:kernel,level:2", "level:2,category:kernel"], 2),
    ],
)
def test_kernel_levels(texts: list[str], level: int) -> None:
    assert parse_optimization(texts) == Optimization(level, None)


@pytest.mark.parametrize(
    ("texts", "iterations"),
    [
        (["category:graph,iterations:0"], 0),
        (["category:graph,iterations:30000"], 30000),
        (["category:graph,iterations:7", "category:graph,iterations:7"], 7),
    ],
)
def test_iterations(texts: list[str], iterations: int) -> None:
    both = parse_optimization(["category:kernel,level:4", *texts])
    assert both == Optimization(4, iterations)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["graph,iterations:3", "graph,iterations:4"], "graph is given with 3 and with 4"),
        (["kernel,level:2", "graph,iterations:3", "kernel,level:4"], "kernel is given with 2 and"),
        (["graph,iterations:3,iterations:4"], "'iterations' stands twice"),
        (["graph,iterations:3,category:kernel"], "'category' stands twice"),
    ],
)
def test_what_is_said_in_two_ways_is_refused(cli: Cli, texts: list[str], message: str) -> None:
    words = [word for text in texts for word in ("--optimization", f"category:{text}")]
    error = cli.fails(2, "compile", "--input_path", "m.onnx", "--output_path", "OUT", *words)
    assert message in error and "where: --optimization" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("category:cuda,enabled:true", "not in this version"),
        ("category:cuda,enabled:false", "not in this version"),
        ("category:graph,iterations:30001", "does not say iterations"),
        ("category:graph,iterations:-1", "does not say iterations"),
        ("category:graph,iterations:1e3", "does not say iterations"),
        ("category:graph,iterations:\u0663", "does not say iterations"),
        ("category:graph", "does not say iterations"),
        ("category:graph,iterations:1,level:2", "does not say iterations"),
        ("category:cuda,enabled:maybe", "does not say enabled"),
        ("category:kernel,level:5", "level '5' does not exist"),
        ("category:kernel", "level '' does not exist"),
        ("category:kernel,levle:3", "unknown key 'levle'"),
        ("category:kernels,level:3", "unknown category 'kernels'"),
        ("kernel", "not of the form key:value"),
    ],
)
def test_refused_optimizations(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_optimization([text])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "NCWH"}, "unknown layout"),
        ({"level": 0}, "level 0 does not exist"),
        ({"threads": -1}, "not a sensible number"),
        ({"threads": 2.0}, "2.0 is not a sensible number"),
        ({"jobs": "two"}, "'two' is not a sensible number"),
        ({"model_id": "a\nb"}, "is not an id"),
        ({"target": "cuda:2080ti"}, "cuda target is not in this version"),
        ({"input_shapes": {"x": (0, 3)}}, "must be 1 or more"),
        ({"iterations": -1}, "-1 iterations cannot be made"),
        ({"iterations": 1.5}, "1.5 iterations cannot be made"),
        ({"iterations": 3, "seed": -1}, "-1 is no seed"),
        ({"tuning_logs": (Path("a.json"),)}, "nothing would use them"),
    ],
)
def test_options_are_checked(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CompileOptions(Path("m.onnx"), Path("OUT"), **change)  # type: ignore[arg-type]


def test_assignments() -> None:
    assert parse_assignment(["a=1.npy", "b=x=y.npy"], "--input") == {"a": "1.npy", "b": "x=y.npy"}
    assert parse_assignment(["only.npy"], "--input") == {"": "only.npy"}
    with pytest.raises(UsageError, match="given twice"):
        parse_assignment(["a=1", "a=2"], "--input")


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "--no_such_flag"),
        ("compile", "--input_path", "m.onnx"),
        ("frobnicate",),
        ("compile", "--input_path", "m", "--output_path", "o", "--threads", "many"),
        ("run", "--input_path", "m", "--threads", "-3"),
        ("compile", "--input_path", "m", "--output_path", "o", "--layout", "CHWN"),
        ("compile", "--input_path", "m", "--output_path", "o", "--target", "cuda:2080ti"),
        (
            *("compile", "--input_path", "m", "--output_path", "o"),
            *("--optimization", "category:graph,iterations:many"),
        ),
        ("compile", "--input_path", "m", "--output_path", "o", "--tuning_log", "log.json"),
        ("run",),
        ("cache", "burn"),
    ],
)
def test_wrong_usage_exits_2(cli: Cli, words: tuple[str, ...]) -> None:
    cli.fails(2, *words)


def test_version_and_help(cli: Cli) -> None:
    import leip

    assert cli("--version").stdout == f"leip {leip.__version__}\n"
    text = cli("compile", "--help").stdout
    for flag in ("--input_path", "--output_path", "--input_shapes", "--layout", "--target"):
        assert flag in text
    for flag in ("--optimization", "--crc_check", "--model_id", "--dump_ir", "--verify"):
        assert flag in text
    for flag in ("--threads", "--jobs", "--plugin", "--cache_dir", "--tuning_log", "--seed"):
        assert flag in text


def test_help_is_fast(cli: Cli) -> None:
    """`leip --help` must load neither TVM nor ONNX."""
    done = cli("--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"tvm", "onnx", "networkx", "numpy"}
