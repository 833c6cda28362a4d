"""Pipelines as lists and as text."""

from __future__ import annotations

import dataclasses

import pytest

from leip.errors import UsageError
from leip.ir import Layout
from leip.ir.target import Caches, Target
from leip.passes import format_pipeline, parse_pipeline, pipeline

CACHES = Caches(32 << 10, 512 << 10, 2 << 20)
AVX2 = Target("llvm", "x86", "x86_64-linux-gnu", "skylake", ("avx2", "fma"), 256, 16, CACHES)
AVX512 = Target("llvm", "x86", "x86_64-linux-gnu", "skylake-avx512", ("avx512f",), 512, 32, CACHES)
DOUBLE_PUMPED = dataclasses.replace(AVX512, cpu="znver4", fma_ports=1)
NEON = Target("llvm", "arm", "aarch64-linux-gnu", "cortex-a72", ("neon",), 128, 32, CACHES)

PLAIN = (
    "fold-empty,canonicalize{exact=true},fold-constants,canonicalize{exact=true},dead-code,"
    "wrap-kernels,order-nodes"
)
FUSED = (
    "fold-empty,canonicalize,fold-constants,canonicalize,cse,recognize-norms,"
    "recognize-activations,"
    "fold-scales,fold-transposes,fold-batch-norm,expand-conv-transpose,"
    "flatten-depth,"
    "canonicalize,fold-constants,cse,dead-code,io-layout,"
    "fuse-conv,fuse-matmul,fuse-reductions,fuse-elementwise,wrap-kernels"
)
X86 = FUSED.replace("fuse-conv,", "fuse-conv,fuse-attention,")


@pytest.mark.parametrize(
    ("level", "target", "expected"),
    [
        (1, AVX512, PLAIN),
        (2, AVX512, f"{FUSED},order-nodes"),
        (3, AVX512, f"{X86},assign-layouts,order-nodes"),
        (3, DOUBLE_PUMPED, f"{X86},assign-layouts,halve-blocks{{block=16}},order-nodes"),
        (3, AVX2, f"{X86},assign-layouts{{block=8}},order-nodes"),
        (4, NEON, f"{FUSED},assign-layouts{{block=4}},order-nodes"),
    ],
)
def test_default_pipelines(level, target, expected):
    assert format_pipeline(pipeline(level, target)) == expected


def test_text_and_passes_are_inverses():
    steps = pipeline(3, AVX2, Layout.parse("NHWC"))
    assert parse_pipeline(format_pipeline(steps)) == steps


def test_border_layout():
    assert "io-layout{layout=NHWC}" in format_pipeline(pipeline(3, AVX2, Layout.parse("NHWC")))
    assert pipeline(1, AVX2, Layout.parse("NCHW")) == pipeline(1, AVX2)
    with pytest.raises(UsageError, match="at level 3 and above only"):
        pipeline(2, AVX2, Layout.parse("NHWC"))


def test_unknown_level():
    with pytest.raises(UsageError, match="no level 5"):
        pipeline(5, AVX2)


def test_spaces_and_options():
    steps = parse_pipeline(" cse , fold-constants{ max_bytes=10 },fuse-conv{prologue=false}")
    assert format_pipeline(steps) == "cse,fold-constants{max_bytes=10},fuse-conv{prologue=false}"
    assert parse_pipeline("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse-cnv", "did you mean fuse-conv"),
        ("xyz", "there are fold-empty, canonicalize"),
        ("cse{a=1}", "no option 'a'"),
        ("fold-constants{max_bytes}", "no option 'max_bytes'"),
        ("fold-constants{max_bytes=many}", "takes int, not 'many'"),
        ("canonicalize{exact=1}", "takes bool, not '1'"),
        ("assign-layouts{cost=x}", "cannot be given as text"),
        ("cse;dead-code", "cannot read the pipeline at"),
    ],
)
def test_wrong_text(text, message):
    with pytest.raises(UsageError, match=message):
        parse_pipeline(text)
