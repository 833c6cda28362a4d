"""Spaces of configs for the search: wide, but not so wide that a search gets lost in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TypeVar

from .template import Knobs

__all__ = ["MOST_POINTS", "thinned"]

MOST_POINTS = 400

ConfigT = TypeVar("ConfigT", bound=Knobs)


def thinned(configs: Iterable[ConfigT], default: ConfigT, most: int = MOST_POINTS) -> list[ConfigT]:
    """The configs that are left when values of knobs are given up until there are few enough.

    The knob with the most values loses the one that is closest to the value below it, in parts of
    it; those of the default stay, and the default is the first of the result.

    Args:
        configs: In a fixed order.
        default: Is part of the result in any case.
        most: Configs that may be left.
    """
    left = list(dict.fromkeys([default, *configs]))
    names = [field.name for field in dataclasses.fields(default)]
    while len(left) > most:
        found = [(name, _values(left, name)) for name in names]
        name, values = max(found, key=lambda item: len(item[1]))
        own = getattr(default, name)
        spare = [at for at in range(1, len(values)) if values[at] != own]
        if len(values) <= 2 or not spare:
            return left[:most]
        given_up = values[min(spare, key=lambda at: values[at] / max(values[at - 1], 1))]
        left = [config for config in left if getattr(config, name) != given_up]
    return left


def _values(configs: list[ConfigT], name: str) -> list[int]:
    """The values of a knob of numbers in order; others have none that could be given up."""
    values = {getattr(config, name) for config in configs}
    numbers = [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
    return sorted(numbers)
