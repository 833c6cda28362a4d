"""docs/ir.md lists the ops as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from leip.ir.ops import OPS
from leip.ir.ops.listing import inserted, render

PAGE = Path(__file__).parents[3] / "docs" / "ir.md"


def test_page_is_current():
    text = PAGE.read_text()

    assert text == inserted(text), "run `python -m leip.ir.ops.listing docs/ir.md`"


def test_every_op_is_listed():
    text = render()

    assert all(f"| `{definition.name}` |" in text for definition in OPS)


def test_missing_marks_are_an_error():
    with pytest.raises(ValueError, match="marks"):
        inserted("# A page")
