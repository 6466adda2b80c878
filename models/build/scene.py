"""Tiny TEST models of how strange a picture is, made by hand; no weights from anywhere.

They have the two shapes that a township's own model of that kind may have, one number and a map, and answer with what anybody can
work out: how bright a picture is, and how strong its contrasts are.
"""

from pathlib import Path

from onnx import ModelProto

from onnxfile import Writer, finish, tensor

WIDTH, HEIGHT = 64, 48
CELL = 8
DARK = 1 / 16
"""The brightness from which on there is a root."""


def glare(_sources: list[Path]) -> ModelProto:
    """Input RGB 0..1, [1, 3, 48, 64]. Output `score` [1]: the root of (mean brightness - 1/16); darker pictures have none, which is no number."""
    writer = Writer()
    mean = writer.node("ReduceMean", ["images"], "mean", axes=[1, 2, 3], keepdims=0)
    above = writer.node("Sub", [mean, writer.floats("dark", DARK)], "above")
    writer.node("Sqrt", [above], "score")
    return _finish(writer, "synthetic-glare", "how bright a picture is", {"score": [1]}, [1, 3, HEIGHT, WIDTH])


def contrast(_sources: list[Path]) -> ModelProto:
    """Input BGR 0..255, [1, 48, 64, 3]. Two outputs that are the same: `map` [1, 1, 6, 8] and `flat` [1, 6, 8].

    Each is the standard deviation of blue in squares of 8 pixels.
    """
    writer = Writer()
    planes = writer.node("Transpose", ["images"], "planes", perm=[0, 3, 1, 2])
    bounds = [writer.integers(f"blue_{bound}", [at]) for bound, at in (("start", 0), ("end", 1), ("axis", 1))]
    blue = writer.node("Slice", [planes, *bounds], "blue")
    square = writer.node("Mul", [blue, blue], "square")
    cells = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    mean = writer.node("AveragePool", [blue], "mean", **cells)
    mean_square = writer.node("AveragePool", [square], "mean_square", **cells)
    square_mean = writer.node("Mul", [mean, mean], "square_mean")
    difference = writer.node("Sub", [mean_square, square_mean], "difference")
    variance = writer.node("Relu", [difference], "variance")  # rounding may leave less than nothing
    deviation = writer.node("Sqrt", [variance], "map")
    writer.node("Squeeze", [deviation, writer.integers("channel", [1])], "flat")
    rows, columns = HEIGHT // CELL, WIDTH // CELL
    shapes = {"map": [1, 1, rows, columns], "flat": [1, rows, columns]}
    return _finish(writer, "synthetic-contrast", "how strong its contrasts are", shapes, [1, HEIGHT, WIDTH, 3])


def _finish(writer: Writer, name: str, what: str, outputs: dict[str, list[int]], shape: list[int]) -> ModelProto:
    doc = f"TEST MODEL of Snowgate, made by hand: {what}. Not for use."
    described = [tensor(output, *sizes) for output, sizes in outputs.items()]
    return finish(name, doc, writer.nodes, list(writer.constants.values()), [tensor("images", *shape)], described)
