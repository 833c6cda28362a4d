"""wrap-kernels: every op that is left becomes a kernel of its own."""

from __future__ import annotations

from pass_checks import graph


def test_fires(check_pass):
    check_pass(
        "wrap-kernels",
        graph(
            "%x: f32[2,6]",
            """%v, %i = topk(%x) {k=2}
            %r = reshape(%v) {shape=[4]}
            %y = relu(%r)
            return %y, %i""",
        ),
        after=graph(
            "%x: f32[2,6]",
            """%v, %i = kernel(%x) body(%x: f32[2,6]) {
              %v, %i = topk(%x) {k=2}
              return %v, %i
            }
            %r = reshape(%v) {shape=[4]}
            %y = kernel(%r) body(%r: f32[4]) {
              %y = relu(%r)
              return %y
            }
            return %y, %i""",
        ),
    )


def test_unused_results_are_not_given(check_pass):
    check_pass(
        "wrap-kernels",
        graph("%x: f32[2,6]", "%v, %i = topk(%x) {k=2}\nreturn %i"),
        after=graph(
            "%x: f32[2,6]",
            """%i = kernel(%x) body(%x: f32[2,6]) {
              %v, %i = topk(%x) {k=2}
              return %i
            }
            return %i""",
        ),
    )


def test_keeps_views_and_kernels(check_pass):
    text = graph(
        "%x: f32[4]",
        """%k = kernel(%x) body(%x: f32[4]) {
          %y = relu(%x)
          return %y
        }
        %y = reshape(%k) {shape=[2,2]}
        return %y""",
    )
    check_pass("wrap-kernels", text, unchanged="")
