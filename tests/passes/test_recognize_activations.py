"""recognize-activations: functions that a model spells out."""

from __future__ import annotations

import pytest
from pass_checks import graph

X = "%x: f32[2,5]"
ONE = "%one = constant {value=1.0} : f32[]\n"
HALF = "%half = constant {value=0.5} : f32[]\n"
ERF = """%r = constant {value=0.7071067690849304} : f32[]
%a = mul(%x, %r)
%e = erf(%a)
%p = add(%e, %one)
"""
TANH = """%c = constant {value=0.7978845834732056} : f32[]
%k = constant {value=0.044714998453855515} : f32[]
"""
SIX = """%three = constant {value=3.0} : f32[]
%six = constant {value=6.0} : f32[]
%sixth = constant {value=0.1666666716337204} : f32[]
%s = add(%x, %three)
%c = clip(%s) {min=0.0, max=6.0}
"""

FIRES = {
    "gelu, half last": (
        ONE + HALF + ERF + "%m = mul(%x, %p)\n%y = mul(%m, %half)\nreturn %y",
        "%y = gelu(%x)\nreturn %y",
    ),
    "gelu, half first": (
        ONE + HALF + ERF + "%m = mul(%x, %half)\n%y = mul(%m, %p)\nreturn %y",
        "%y = gelu(%x)\nreturn %y",
    ),
    "gelu, half inside": (
        ONE + HALF + ERF + "%m = mul(%p, %half)\n%y = mul(%m, %x)\nreturn %y",
        "%y = gelu(%x)\nreturn %y",
    ),
    "gelu, divided by the root of two": (
        ONE
        + HALF
        + """%r = constant {value=1.4142135381698608} : f32[]
        %a = div(%x, %r)
        %e = erf(%a)
        %p = add(%one, %e)
        %m = mul(%x, %p)
        %y = mul(%m, %half)
        return %y""",
        "%y = gelu(%x)\nreturn %y",
    ),
    "gelu with tanh": (
        ONE
        + HALF
        + TANH
        + """%x2 = mul(%x, %x)
        %x3 = mul(%x2, %x)
        %q = mul(%x3, %k)
        %u = add(%x, %q)
        %v = mul(%u, %c)
        %t = tanh(%v)
        %p = add(%t, %one)
        %m = mul(%x, %p)
        %y = mul(%m, %half)
        return %y""",
        '%y = gelu(%x) {approximate="tanh"}\nreturn %y',
    ),
    "gelu with tanh, x factored out": (
        ONE
        + HALF
        + TANH
        + """%x2 = mul(%x, %x)
        %q = mul(%x2, %k)
        %u = add(%q, %one)
        %w = mul(%x, %c)
        %v = mul(%w, %u)
        %t = tanh(%v)
        %p = add(%t, %one)
        %m = mul(%x, %half)
        %y = mul(%m, %p)
        return %y""",
        '%y = gelu(%x) {approximate="tanh"}\nreturn %y',
    ),
    "silu": ("%s = sigmoid(%x)\n%y = mul(%s, %x)\nreturn %y", "%y = silu(%x)\nreturn %y"),
    "hardswish from hard_sigmoid": (
        "%s = hard_sigmoid(%x) {alpha=0.1666666716337204}\n%y = mul(%x, %s)\nreturn %y",
        "%y = hardswish(%x)\nreturn %y",
    ),
    "hardswish, times a sixth": (
        SIX + "%m = mul(%x, %c)\n%y = mul(%m, %sixth)\nreturn %y",
        "%y = hardswish(%x)\nreturn %y",
    ),
    "hardswish, divided by six": (
        SIX + "%m = mul(%x, %c)\n%y = div(%m, %six)\nreturn %y",
        "%y = hardswish(%x)\nreturn %y",
    ),
    "hard_sigmoid, divided by six": (
        SIX + "%y = div(%c, %six)\nreturn %y",
        "%y = hard_sigmoid(%x) {alpha=0.16666666666666666}\nreturn %y",
    ),
    "hard_sigmoid from clip": (
        """%a = constant {value=0.25} : f32[]
        %b = constant {value=0.5} : f32[]
        %m = mul(%x, %a)
        %s = add(%m, %b)
        %y = clip(%s) {min=0.0, max=1.0}
        return %y""",
        "%y = hard_sigmoid(%x) {alpha=0.25}\nreturn %y",
    ),
    "softplus": (
        ONE + "%e = exp(%x)\n%s = add(%e, %one)\n%y = log(%s)\nreturn %y",
        "%y = softplus(%x)\nreturn %y",
    ),
    "mish": (
        ONE
        + "%e = exp(%x)\n%s = add(%e, %one)\n%l = log(%s)\n%t = tanh(%l)\n"
        + "%y = mul(%x, %t)\nreturn %y",
        "%y = mish(%x)\nreturn %y",
    ),
    "softsign": (
        ONE + "%a = abs(%x)\n%s = add(%a, %one)\n%y = div(%x, %s)\nreturn %y",
        "%y = softsign(%x)\nreturn %y",
    ),
    "leaky relu": (
        """%a = constant {value=0.125} : f32[]
        %m = mul(%x, %a)
        %y = maximum(%x, %m)
        return %y""",
        "%y = leaky_relu(%x) {alpha=0.125}\nreturn %y",
    ),
    "silu twice, the gate read by others": (
        "%s = sigmoid(%x)\n%a = mul(%x, %s)\n%t = sigmoid(%a)\n%y = mul(%a, %t)\nreturn %y, %s",
        "%s = sigmoid(%x)\n%a = silu(%x)\n%y = silu(%a)\nreturn %y, %s",
    ),
}

KEEPS = {
    "erf of something else": (
        ONE
        + HALF
        + """%a = mul(%x, %half)
        %e = erf(%a)
        %p = add(%e, %one)
        %m = mul(%x, %p)
        %y = mul(%m, %half)
        return %y""",
        "the argument of erf is not x/√2",
    ),
    "tanh of something else": (
        ONE
        + HALF
        + "%t = tanh(%x)\n%p = add(%t, %one)\n%m = mul(%x, %p)\n%y = mul(%m, %half)\nreturn %y",
        "the argument of tanh is not gelu's",
    ),
    "another hard sigmoid": (
        "%s = hard_sigmoid(%x)\n%y = mul(%x, %s)\nreturn %y",
        "the hard sigmoid is not hardswish's",
    ),
    "steep leaky relu": (
        """%a = constant {value=2.0} : f32[]
        %m = mul(%x, %a)
        %y = maximum(%x, %m)
        return %y""",
        "the slope is not between 0 and 1",
    ),
    "gate of another value": (
        "%r = relu(%x)\n%s = sigmoid(%r)\n%y = mul(%x, %s)\nreturn %y",
        "",
    ),
}


@pytest.mark.parametrize("what", FIRES)
def test_fires(check_pass, what):
    before, after = FIRES[what]
    check_pass("recognize-activations", graph(X, before), after=graph(X, after))


@pytest.mark.parametrize("what", KEEPS)
def test_keeps(check_pass, what):
    text, reason = KEEPS[what]
    check_pass("recognize-activations", graph(X, text), unchanged=reason)
