"""io-layout: images cross the model's border in the layout that the user wants."""

from __future__ import annotations

from pass_checks import graph

INPUTS = "%x: f32[1,4,6,6], %t: f32[1,4,6,6]"
CONV = "conv(%a, %w) {strides=[1,1], pads=[1,1,1,1], dilations=[1,1]}"


def test_fires_for_images_only(check_pass):
    check_pass(
        "io-layout{layout=NHWC}",
        graph(
            INPUTS,
            f"""%w = constant {{value=random(1)}} : f32[4,4,3,3]
            %a = relu(%x)
            %c = {CONV}
            %y = relu(%c)
            %z = matmul(%t, %t)
            return %y, %z""",
        ),
        after=graph(
            "%x: f32[1,4,6,6]@NHWC, %t: f32[1,4,6,6]",
            f"""%w = constant {{value=random(1)}} : f32[4,4,3,3]
            %i = layout_transform(%x) : f32[1,4,6,6]
            %a = relu(%i)
            %c = {CONV}
            %y = relu(%c)
            %z = matmul(%t, %t)
            %o = layout_transform(%y) {{layout=NHWC}} : f32[1,4,6,6]@NHWC
            return %o "y", %z""",
        ),
    )


def test_keeps_what_is_no_image(check_pass):
    text = graph("%t: f32[1,4,6,6]", "%z = matmul(%t, %t)\nreturn %z")
    check_pass("io-layout{layout=NHWC}", text, unchanged="")


def test_keeps_everything_unless_asked(check_pass):
    text = graph(
        "%a: f32[1,4,6,6]",
        f"%w = constant {{value=random(1)}} : f32[4,4,3,3]\n%c = {CONV}\nreturn %c",
    )
    check_pass("io-layout", text, unchanged="")
    check_pass("io-layout{layout=NCHW}", text, unchanged="")
