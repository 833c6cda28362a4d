"""The VNNI probe: bit-exact against the references."""

from __future__ import annotations

import numpy as np
import pytest
from x86_kernels import (
    TARGETS,
    bind_arrays,
    compile_task,
    host_has,
    int8_task,
    random_feeds,
)

from leip.ir.interpreter import run_region
from leip.schedules.template import NotApplicable
from leip.schedules.x86.conv_int8 import ConvInt8

vnni = pytest.mark.skipif(not host_has("avx512vnni"), reason="this CPU lacks AVX-512 VNNI")


@vnni
@pytest.mark.parametrize(
    ("ci", "size", "co"), [(64, (7, 7), 64), (24, (5, 11), 40), (16, (1, 1), 16), (20, (13,), 33)]
)
def test_bit_exact(ci: int, size: tuple[int, ...], co: int) -> None:
    task, template = int8_task(ci, size, co), ConvInt8()
    template.check(task)
    library, config = compile_task(task, template)
    assert "vpdpbusd" in library.mod.inspect_source("asm")
    feeds = random_feeds(task)
    feeds[2] = (feeds[2] % 10000).astype("int32")
    feeds[3] = np.abs(feeds[3]) * np.float32(1e-3)
    tensors = bind_arrays(task, template, config, feeds)
    library["main"](*tensors)
    value = task.body.outputs[0]
    stored = tensors[-1].numpy()
    got = value.layout.to_logical(stored, value.shape)
    assert np.array_equal(value.layout.to_physical(got), stored), "pad lanes are not zero"
    (expected,) = run_region(task.body, feeds)
    assert 0 < (expected == 255).mean() + (expected == 0).mean() < 1
    assert np.array_equal(got, expected)


def test_refusals() -> None:
    with pytest.raises(NotApplicable, match="lacks avx512vnni"):
        ConvInt8().check(int8_task(16, (3, 3), 16, target=TARGETS["avx512"]))
    with pytest.raises(NotApplicable, match="not a 1x1 window"):
        ConvInt8().check(int8_task(16, (3, 3), 16, stride=2))
