"""Configs as records have them, as templates have them, as text, and as keys."""

from __future__ import annotations

import dataclasses

from ..schedules.template import Knobs, Template
from .record import Config

__all__ = ["Items", "config_fault", "config_of", "items_of", "text_of"]

Items = tuple[tuple[str, int | bool | str], ...]  # of a config, by name


def config_of(knobs: Knobs) -> Config:
    """Knobs by name."""
    return {field.name: getattr(knobs, field.name) for field in dataclasses.fields(knobs)}


def text_of(template: Template, config: Config) -> str | None:
    """A config as `Knobs.from_text` reads it; None if the template has other knobs."""
    fields = {field.name for field in dataclasses.fields(template.Config)}
    if set(config) != fields:
        return None
    return template.Config(**config).to_text()


def items_of(config: Config) -> Items:
    """A config as a key of a dictionary."""
    return tuple(sorted(config.items()))


def config_fault(config: Config, usual: Config) -> str:
    """Why a config is none of the template whose default is `usual`; "" if it is one."""
    if missing := [name for name in usual if name not in config]:
        return f"there is no {missing[0]!r} in it"
    if unknown := [name for name in config if name not in usual]:
        return f"there is no knob {unknown[0]!r}"
    for name, value in config.items():
        wanted = type(usual[name]).__name__
        # exactly: what numpy gives cannot be written into a log
        if type(value) is not type(usual[name]):
            return f"{name} is {value!r:.40}, of {type(value).__name__} and not of {wanted}"
    return ""
