"""Groups of what is tied together."""

from __future__ import annotations

from leip.ir.ties import tied_together


def test_ties_that_share_a_member_make_one_group() -> None:
    group = tied_together("abcdef", ["ab", "cd", "bd", "e", ""])
    assert group["a"] == group["b"] == group["c"] == group["d"]
    assert len({group["a"], group["e"], group["f"]}) == 3
    assert group[group["a"]] == group["a"] in "abcd"


def test_nothing_is_tied() -> None:
    assert tied_together([], []) == {}
    assert tied_together([1, 2], []) == {1: 1, 2: 2}
