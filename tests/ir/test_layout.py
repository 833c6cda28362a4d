"""Layouts: text form, stored shapes, and the way to memory and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leip.ir import DType, Layout, TensorType


@pytest.mark.parametrize("text", ["NCHW", "NHWC", "NCHW16c", "NHWC4c", "NCW8c", "NCDHW16c", "CHWN"])
def test_text_round_trip(text):
    assert str(Layout.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NCXW", "must name each of the axes NCHW once"),
        ("NCHWW", "must name each"),
        ("nchw", "is not a layout"),
        ("NCHW16x", "of no axis"),
        ("NCHW0c", "of no axis"),
        ("", "is not a layout"),
    ],
)
def test_bad_text(text, message):
    with pytest.raises(ValueError, match=message):
        Layout.parse(text)


def test_stored_shape_and_padding():
    type = TensorType(DType.F32, (1, 24, 7, 5), Layout.parse("NCHW16c"))

    assert type.physical_shape == (1, 2, 7, 5, 16)
    assert type.has_padding
    assert type.nbytes == 2 * 7 * 5 * 16 * 4
    assert str(type) == "f32[1,24,7,5]@NCHW16c"


def test_plain_layout_is_no_layout():
    assert TensorType(DType.F32, (1, 2, 3, 4), Layout.parse("NCHW")).layout is None


def test_layout_of_another_rank_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        TensorType(DType.F32, (1, 2, 3), Layout.parse("NCHW"))


@st.composite
def layouts(draw):
    rank = draw(st.integers(1, 5))
    order = tuple(draw(st.permutations(range(rank))))
    tiles = draw(st.lists(st.tuples(st.integers(0, rank - 1), st.integers(1, 4)), max_size=3))
    return Layout(order, tuple(tiles))


@given(layouts(), st.data())
def test_to_memory_and_back(layout, data):
    shape = tuple(data.draw(st.integers(0, 7)) for _ in range(layout.rank))
    array = np.arange(1, 1 + np.prod(shape, dtype=int), dtype=np.int64).reshape(shape)

    stored = layout.to_physical(array)

    assert stored.shape == layout.physical_shape(shape)
    assert np.array_equal(layout.to_logical(stored, shape), array)
    assert np.count_nonzero(stored) == array.size  # whatever else is stored is zero


def test_blocked_is_what_its_name_says():
    array = np.arange(2 * 5 * 3 * 2).reshape(2, 5, 3, 2)

    stored = Layout.parse("NCHW4c").to_physical(array)

    assert stored[1, 1, 2, 1, 0] == array[1, 4, 2, 1]
    assert (stored[:, 1, :, :, 1:] == 0).all()
