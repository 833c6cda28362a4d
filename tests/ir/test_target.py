"""Targets as text."""

import pytest

from leip.errors import TargetError
from leip.ir.dtypes import DType
from leip.ir.target import Caches, Target, TargetRequest

ZEN = Target(
    "llvm", "x86", "x86_64-linux-gnu", "znver4", ("avx2", "avx512f", "fma"), 512, 32,
    Caches(32768, 1 << 20, 4 << 20), 2,
)  # fmt: skip


def test_text_round_trip():
    assert Target.parse(str(ZEN)) == ZEN


def test_facts():
    assert ZEN.lanes(DType.F32) == 16
    assert ZEN.lanes(DType.I8) == 64
    assert ZEN.has("fma") and not ZEN.has("amx-int8")


def test_text_that_is_no_target():
    with pytest.raises(TargetError, match="not the text form"):
        Target.parse("llvm arch=x86")


def test_request_as_on_the_page():
    text = (
        "llvm -device=arm_cpu -model=bcm2837 -mtriple=aarch64-linux-gnu "
        "-mattr=+neon -mcpu=cortex-a72"
    )
    request = TargetRequest.parse(text)
    assert request.get("mcpu") == "cortex-a72"
    assert request.get("nothing") == ""
    assert str(request) == text
    assert TargetRequest.parse("cuda:2080ti").model == "2080ti"


@pytest.mark.parametrize(
    ("text", "message"),
    [("tpu", "unknown target 'tpu'"), ("llvm -mcpu", "not of the form"), ("", "unknown target ''")],
)
def test_bad_requests(text, message):
    with pytest.raises(TargetError, match=message):
        TargetRequest.parse(text)
