from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leip.codegen.memory import ALIGNMENT, Lifetime, peak_bytes, place


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    made = []
    for _ in range(draw(st.integers(0, 24))):
        first = draw(st.integers(0, 12))
        last = first + draw(st.integers(0, 5))
        made.append(Lifetime(draw(st.integers(0, 20000)), first, last))
    return made


@given(lifetimes(), st.randoms(use_true_random=False))
def test_no_two_live_buffers_overlap(buffers: list[Lifetime], random) -> None:  # type: ignore[no-untyped-def]
    mates = {
        i: [j for j in range(len(buffers)) if j != i and random.random() < 0.2]
        for i in range(len(buffers))
    }
    placement = place(buffers, mates)
    assert placement.total >= peak_bytes(buffers)
    for i, (left, at) in enumerate(zip(buffers, placement.offsets)):
        assert at % ALIGNMENT == 0
        assert at + left.bytes <= placement.total
        for right, other in list(zip(buffers, placement.offsets))[i + 1 :]:
            if left.meets(right) and left.bytes and right.bytes:
                assert at + left.bytes <= other or other + right.bytes <= at


@given(lifetimes())
def test_same_input_same_plan(buffers: list[Lifetime]) -> None:
    assert place(buffers) == place(buffers)


def test_a_chain_takes_two_buffers() -> None:
    chain = [Lifetime(1 << 20, at, at + 1) for at in range(20)]
    assert place(chain).total == 2 << 20


def test_buffers_of_a_step_do_not_alias_at_4k() -> None:
    # the same three sizes at every step: without care all start at multiples of 4 KB
    buffers = [Lifetime(1 << 16, 0, 1), Lifetime(1 << 16, 1, 1)]
    placement = place(buffers, {0: [1], 1: [0]})
    distance = abs(placement.offsets[0] - placement.offsets[1]) % 4096
    assert 256 <= distance <= 4096 - 256


def test_largest_buffers_do_not_fragment() -> None:
    buffers = [Lifetime(100, 0, 3), Lifetime(4096, 0, 1), Lifetime(4096, 2, 3), Lifetime(64, 1, 2)]
    assert place(buffers).total == peak_bytes(buffers)
