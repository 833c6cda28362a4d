"""Which things belong together, by ties between some of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from networkx.utils import UnionFind

T = TypeVar("T", bound=Hashable)


def tied_together(things: Iterable[T], ties: Iterable[Iterable[T]]) -> Mapping[T, T]:
    """Of each thing one of its group, the same for all of them.

    Args:
        things: All of them; ties hold no others.
        ties: Things that belong together; those that have one in common make up one group.
    """
    groups = UnionFind(things)
    for tie in ties:
        groups.union(*tie)
    return {thing: groups[thing] for thing in groups}
