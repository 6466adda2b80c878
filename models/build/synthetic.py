"""Tiny TEST models with the exact output layouts of YOLOv8 and YOLOX, made by hand; no weights from anywhere.

They find bright squares on a dark ground, 64×64 pixels in all: class 0 ("square") red, class 1 ("other") blue.
There are three grids, strides 8, 16 and 32. A cell's score is near 1 when the cell is filled with the colour and the eight
cells around it are not, so a red square exactly one cell large gives one detection in one cell of the right grid.
The box is the cell's own, but half as high again (so that width and height cannot be mistaken):
centre of the cell, width = stride, height = 1.5 · stride.
"""

import math
from pathlib import Path

import numpy as np
from onnx import ModelProto

from onnxfile import Writer, finish, tensor

SIDE = 64
STRIDES = (8, 16, 32)
CELLS = sum((SIDE // stride) ** 2 for stride in STRIDES)  # 84
OBJECTNESS = 0.8
"""What YOLOX's objectness is at most, so that a decoder that forgets to multiply by it is found out."""


def yolov8(_sources: list[Path]) -> ModelProto:
    """Input RGB 0..1. Output [1, 4 + 2, 84]: cx, cy, w, h in input pixels, then the classes' scores."""
    writer = Writer()
    scores = _scores(writer, red=[1.0, -0.5, -0.5], blue=[-0.5, -0.5, 1.0])
    boxes = np.array([[(x + 0.5) * s, (y + 0.5) * s, s, 1.5 * s] for s, y, x in _cells()], np.float32)
    writer.constant("boxes", boxes.T[None])
    writer.node("Concat", ["boxes", scores], "output0", axis=1)
    return _finish(writer, "synthetic-yolov8", "output0", 6, CELLS)


def yolox(_sources: list[Path]) -> ModelProto:
    """Input BGR 0..255. Output [1, 84, 5 + 2]: offset x and y in cells, log w and log h in strides, objectness, the classes' scores."""
    writer = Writer()
    scores = _scores(writer, red=np.array([-0.5, -0.5, 1.0]) / 255.0, blue=np.array([1.0, -0.5, -0.5]) / 255.0)
    boxes = np.array([[0.5, 0.5, 0.0, math.log(1.5)]] * CELLS, np.float32)
    writer.constant("boxes", boxes[None])
    best = writer.node("ReduceMax", [scores], "best", axes=[1], keepdims=1)
    objectness = writer.node("Mul", [best, writer.floats("most", OBJECTNESS)], "objectness")
    columns = writer.node("Concat", [objectness, scores], "columns", axis=1)
    rows = writer.node("Transpose", [columns], "rows", perm=[0, 2, 1])
    writer.node("Concat", ["boxes", rows], "output", axis=2)
    return _finish(writer, "synthetic-yolox", "output", CELLS, 7)


def _cells() -> list[tuple[int, int, int]]:
    """(stride, y, x) of every cell, in the order both layouts have them."""
    return [(s, y, x) for s in STRIDES for y in range(SIDE // s) for x in range(SIDE // s)]


def _scores(writer: Writer, red: object, blue: object) -> str:
    """Both classes' scores for all cells, [1, 2, 84]; the colours are weights of the input's channels that give 0..1."""
    kernel = writer.floats("colours", np.reshape([red, blue], (2, 3, 1, 1)))
    signed = writer.node("Conv", ["images", kernel], "signed", kernel_shape=[1, 1])
    colour = writer.node("Relu", [signed], "colour")  # a blue surrounding must not make a red cell of nothing
    grids = []
    for s in STRIDES:
        cell = writer.node("AveragePool", [colour], f"cell{s}", kernel_shape=[s, s], strides=[s, s])
        around = writer.node("AveragePool", [cell], f"around{s}", kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4, count_include_pad=1)
        twice = writer.node("Mul", [around, writer.floats("two", 2.0)], f"twice{s}")
        contrast = writer.node("Sub", [cell, twice], f"contrast{s}")  # 0.78 for a square of one cell, below 0.2 for others
        above = writer.node("Sub", [contrast, writer.floats("threshold", 0.4)], f"above{s}")
        logit = writer.node("Mul", [above, writer.floats("steepness", 40.0)], f"logit{s}")
        score = writer.node("Sigmoid", [logit], f"score{s}")
        grids.append(writer.node("Reshape", [score, writer.integers("flat", [1, 2, -1])], f"flat{s}"))
    return writer.node("Concat", grids, "scores", axis=2)


def _finish(writer: Writer, name: str, output: str, *shape: int) -> ModelProto:
    doc = "TEST MODEL of Snowgate, made by hand: finds red and blue squares. Not for use."
    return finish(
        name, doc, writer.nodes, list(writer.constants.values()),
        [tensor("images", 1, 3, SIDE, SIDE)], [tensor(output, 1, *shape)])
