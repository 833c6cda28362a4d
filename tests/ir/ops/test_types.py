"""For every op: what infer says is what the reference gives."""

from __future__ import annotations

import numpy as np
import pytest
from samples import EMPTY_SAMPLES, HALF_SAMPLES, SAMPLES

from leip.ir import DType, TensorType
from leip.ir import op as ops
from leip.ir.ops import FAMILIES, OPS
from leip.ir.parse import parse_attrs
from leip.ir.structure import STRUCTURE_OPS
from leip.ir.text import format_attrs

STRUCTURE = {definition.name for definition in STRUCTURE_OPS}
CASES = [
    pytest.param(op, attrs, arrays, id=f"{op}-{kind}{number}")
    for kind, table in (("", SAMPLES), ("half", HALF_SAMPLES), ("empty", EMPTY_SAMPLES))
    for op, samples in table.items()
    for number, (attrs, arrays) in enumerate(samples)
]


def type_of(array: np.ndarray) -> TensorType:
    return TensorType(DType.from_numpy(array.dtype), array.shape)


def test_every_op_has_samples():
    assert sorted(SAMPLES) == sorted(set(ops.names()) - STRUCTURE)


@pytest.mark.parametrize(("op", "attrs", "arrays"), CASES)
def test_infer_equals_reference(op, attrs, arrays):
    definition = ops.get(op)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False

    assert isinstance(attrs, definition.attrs)
    expected = definition.infer_types(attrs, tuple(type_of(array) for array in arrays))
    with np.errstate(all="ignore"):
        results = definition.evaluate(attrs, tuple(arrays))

    assert all(isinstance(result, np.ndarray) for result in results)
    assert [type_of(result) for result in results] == list(expected)
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays, before))


@pytest.mark.parametrize(("op", "attrs", "arrays"), CASES)
def test_flops_are_counted(op, attrs, arrays):
    definition = ops.get(op)
    inputs = tuple(type_of(array) for array in arrays)
    flops = definition.count_flops(attrs, inputs, definition.infer_types(attrs, inputs))

    assert isinstance(flops, int)
    assert flops >= 0


@pytest.mark.parametrize(("op", "attrs", "arrays"), CASES)
def test_attributes_print_and_parse(op, attrs, arrays):
    assert parse_attrs(op, format_attrs(attrs)) == attrs


def test_families_are_files():
    names = [definition.name for family in FAMILIES for definition in family.OPS]

    assert [definition.name for definition in OPS] == names
    assert len(dict.fromkeys(names)) == len(names)
