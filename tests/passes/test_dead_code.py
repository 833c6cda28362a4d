"""dead-code: what no output depends on goes."""

from __future__ import annotations

from pass_checks import graph

XZ = "%x: f32[4], %z: f32[4]"


def test_fires(check_pass):
    check_pass(
        "dead-code",
        graph(
            XZ,
            """%c = constant {value=random(1)} : f32[4]
            %a = mul(%z, %c)
            %b = relu(%a)
            %y = relu(%x)
            return %y""",
        ),
        after=graph(XZ, "%y = relu(%x)\nreturn %y"),
    )


def test_keeps_inputs_and_outputs(check_pass):
    check_pass("dead-code", graph(XZ, "%y = relu(%x)\nreturn %y"), unchanged="")
