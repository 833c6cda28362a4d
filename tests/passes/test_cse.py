"""cse: equal things are computed once."""

from __future__ import annotations

from pass_checks import graph

XZ = "%x: f32[4], %z: f32[4]"


def test_fires(check_pass):
    check_pass(
        "cse",
        graph(
            XZ,
            """%a = add(%x, %z)
            %b = add(%z, %x)
            %c = relu(%a)
            %d = relu(%b)
            %y = mul(%c, %d)
            return %y""",
        ),
        after=graph(XZ, "%a = add(%x, %z)\n%c = relu(%a)\n%y = mul(%c, %c)\nreturn %y"),
    )


def test_constants_by_content(check_pass):
    check_pass(
        "cse",
        graph(
            XZ,
            """%a = constant {value=random(1)} : f32[4]
            %b = constant {value=random(1)} : f32[4]
            %c = mul(%x, %a)
            %d = mul(%z, %b)
            return %c, %d""",
        ),
        after=graph(
            XZ,
            """%a = constant {value=random(1)} : f32[4]
            %c = mul(%x, %a)
            %d = mul(%z, %a)
            return %c, %d""",
        ),
    )


def test_equal_outputs_keep_their_names(check_pass):
    check_pass(
        "cse",
        graph(XZ, "%a = relu(%x)\n%b = relu(%x)\nreturn %a, %b"),
        after=graph(XZ, '%a = relu(%x)\nreturn %a, %a "b"'),
    )


def test_the_last_output_is_unused(check_pass):
    check_pass(
        "cse",
        graph(
            "%x: f32[9]",
            "%v, %i = topk(%x) {k=2}\n%w, %j = topk(%x) {k=2}\n%y = add(%v, %w)\nreturn %y",
        ),
        after=graph("%x: f32[9]", "%v, %i = topk(%x) {k=2}\n%y = add(%v, %v)\nreturn %y"),
    )


def test_keeps_what_differs(check_pass):
    check_pass(
        "cse",
        graph(
            XZ,
            """%a = sub(%x, %z)
            %b = sub(%z, %x)
            %c = clip(%x) {min=0.0}
            %d = clip(%x) {min=1.0}
            return %a, %b, %c, %d""",
        ),
        unchanged="",
    )
