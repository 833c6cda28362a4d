"""Depthwise and pointwise convolutions for the passes that join and split them."""

from __future__ import annotations

from pass_checks import POINT, weights

DEPTHWISE = "{strides=[1,1], pads=[1,1,1,1], dilations=[1,1], groups=16}"
TWO = f"""{weights("16,1,3,3", "24,16,1,1")}
    %a = conv(%x, %w0) {DEPTHWISE}
    %b = relu(%a)
    %c = conv(%b, %w1) {POINT}
    %d = relu(%c)
    return %d "y\""""
RESIDUAL = f"""{weights("16,8,1,1", "16,1,3,3", "8,16,1,1")}
    %a = conv(%x, %w0) {POINT}
    %b = conv(%a, %w1) {DEPTHWISE}
    %c = conv(%b, %w2) {POINT}
    %d = add(%c, %x)
    return %d"""
