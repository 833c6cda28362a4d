"""The pass of the tutorial (`docs/writing-a-pass.md`) works."""

from __future__ import annotations

from pathlib import Path

import pytest
from pass_checks import graph

from leip import plugin
from leip.passes import unregister_pass

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plugins" / "my_pass.py"


@pytest.fixture
def tutorial_pass(tmp_path):
    copy = tmp_path / "my_pass.py"
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    unregister_pass("simplify-roots")
    plugin.load([copy])
    yield
    unregister_pass("simplify-roots")


@pytest.mark.usefixtures("tutorial_pass")
def test_fires(check_pass):
    check_pass(
        "simplify-roots",
        graph("%x: f32[4]", "%s = mul(%x, %x)\n%y = sqrt(%s)\nreturn %y, %s"),
        after=graph("%x: f32[4]", "%s = mul(%x, %x)\n%y = abs(%x)\nreturn %y, %s"),
    )


@pytest.mark.usefixtures("tutorial_pass")
def test_keeps(check_pass):
    text = graph("%x: f32[4], %z: f32[4]", "%s = mul(%x, %z)\n%y = sqrt(%s)\nreturn %y")
    check_pass("simplify-roots", text, unchanged="the factors differ")
