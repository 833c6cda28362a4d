"""fuse-elementwise: chains of elementwise work, with one op that moves data."""

from __future__ import annotations

from pass_checks import bodies, graph, run_pass

from leip.ir import parse_graph

X = "%x: f32[2,3,4]"


def fused(inputs: str, body: str, spec: str = "fuse-elementwise") -> list[str]:
    return bodies(run_pass(spec, parse_graph(graph(inputs, body))).graph)


def test_fires(check_pass):
    check_pass(
        "fuse-elementwise",
        graph(
            f"{X}, %z: f32[2,3,4]",
            """%c = constant {value=random(1)} : f32[6,1,1]
            %a = concat(%x, %z) {axis=1}
            %t = transpose(%a) {perm=[1,0,2]}
            %m = mul(%t, %c)
            %y = relu(%m)
            return %y""",
        ),
        after=graph(
            f"{X}, %z: f32[2,3,4]",
            """%c = constant {value=random(1)} : f32[6,1,1]
            %a = kernel(%x, %z) body(%x: f32[2,3,4], %z: f32[2,3,4]) {
              %a = concat(%x, %z) {axis=1}
              return %a
            }
            %y = kernel(%a, %c) body(%a: f32[2,6,4], %c: f32[6,1,1]) {
              %t = transpose(%a) {perm=[1,0,2]}
              %m = mul(%t, %c)
              %y = relu(%m)
              return %y
            }
            return %y""",
        ),
    )


def test_shared_work_is_done_once():
    assert fused(X, "%a = exp(%x)\n%b = relu(%a)\n%c = neg(%a)\nreturn %b, %c") == [
        "exp",
        "relu",
        "neg",
    ]


def test_readers_that_meet_again():
    assert fused(X, "%a = exp(%x)\n%b = relu(%a)\n%c = neg(%a)\n%y = add(%b, %c)\nreturn %y") == [
        "exp+relu+neg+add"
    ]


def test_dear_work_before_a_repetition_stays_outside():
    text = "%a = OP(%x)\n%y = expand(%a) {shape=[5,2,3,4]}\nreturn %y"
    assert fused(X, text.replace("OP", "exp")) == ["exp", "expand"]
    assert fused(X, text.replace("OP", "neg")) == ["neg+expand"]


def test_parts_of_a_concat_go_in():
    text = "%a = exp(%x)\n%b = neg(%x)\n%y = concat(%a, %b) {axis=1}\nreturn %y"
    assert fused(X, text) == ["exp+neg+concat"]


def test_movers_are_an_option():
    text = (
        "%a = transpose(%x) {perm=[1,0,2]}\n%b = transpose(%x) {perm=[1,0,2]}\n"
        "%y = add(%a, %b)\nreturn %y"
    )
    assert fused(X, text) == ["transpose", "transpose+add"]
    assert fused(X, text, "fuse-elementwise{movers=2}") == ["transpose+transpose+add"]


def test_keeps(check_pass):
    text = graph(X, "%y = softmax(%x)\nreturn %y")
    check_pass("fuse-elementwise", text, unchanged="")
