"""`check_pass`: text in, text out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from leip.ir import Graph, parse_graph, print_graph, structurally_equal

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from pass_checks import check_kept, run_pass, same_graph  # noqa: E402

CheckPass = Callable[..., Graph]


@pytest.fixture
def check_pass() -> CheckPass:
    """`check_pass(spec, before, after=…)` or `check_pass(spec, before, unchanged=reason)`.

    The result is verified, must parse back, give the numbers of `before`, and be a fixed point of
    the pass. `after` must differ from `before`, so a pass that does nothing fails. `unchanged` is
    part of the reason that the pass gives, "" if it has none to give.
    """

    def check(
        spec: str, before: str, after: str | None = None, *, unchanged: str | None = None
    ) -> Graph:
        assert (after is None) != (unchanged is None), "say either after or unchanged"
        source = parse_graph(before)
        if spec != "dead-code":
            source.prune()
        result = run_pass(spec, source.copy())
        explained = f"\nto see it: leip opt before.txt -p '{spec}'\n{print_graph(result.graph)}"
        if after is None:
            assert not result.modified, f"the pass fired{explained}"
            reasons = "\n".join(result.refusals)
            as_said = unchanged in reasons if unchanged else not reasons
            assert as_said, f"reasons given: {reasons or 'none'}"
            return result.graph
        expected = parse_graph(after)
        assert not structurally_equal(source, expected), "a pass that does nothing would succeed"
        assert same_graph(result.graph, expected), (
            f"got this text instead{explained}expected:\n{print_graph(expected)}"
        )
        check_kept(spec, source, result.graph)
        return result.graph

    return check
