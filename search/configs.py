"""Configs as records have them, as templates have them, and as text."""

from __future__ import annotations

import dataclasses

from ..schedules.template import Knobs, Template
from .record import Config

__all__ = ["config_of", "text_of"]


def config_of(knobs: Knobs) -> Config:
    """Knobs by name."""
    return {field.name: getattr(knobs, field.name) for field in dataclasses.fields(knobs)}


def text_of(template: Template, config: Config) -> str | None:
    """A config as `Knobs.from_text` reads it; None if the template has other knobs."""
    fields = {field.name for field in dataclasses.fields(template.Config)}
    if set(config) != fields:
        return None
    return template.Config(**config).to_text()
