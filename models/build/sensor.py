"""A small model of a sensor's readings, made by hand: an example of what such a model is given and answers; no weights from anywhere.

It looks at the last 64 readings, normalised by their median and their median distance from it, so that it knows nothing of units.
The last reading's distance from the median is held against the mean distance of all but the last 16: what has always gone up and down
may go on doing so. The score is 1 - 2^(-ratio / 8): half where the last reading lies eight times as far off as usual. Readings
that stay far off keep their score until they are a quarter of the window; after that they are what is usual.
"""

from pathlib import Path

from onnx import ModelProto

from onnxfile import Writer, finish, tensor

VALUES = 64
RECENT = 16
FLOOR = 0.5
"""Added to the usual distance, in median distances, so that a quantity that hardly ever moves may move a little."""
HALF = 8.0
"""So many usual distances are a score of one half."""


def window_distance(_sources: list[Path]) -> ModelProto:
    """Input [1, 64], the oldest first. Output [1, 1]."""
    writer = Writer()
    distances = writer.node("Abs", ["readings"], "distances")
    last = _part(writer, distances, "last", VALUES - 1, VALUES)
    earlier = _part(writer, distances, "earlier", 0, VALUES - RECENT)
    mean = writer.node("ReduceMean", [earlier], "mean", axes=[1], keepdims=1)
    usual = writer.node("Add", [mean, writer.floats("floor", FLOOR)], "usual")
    ratio = writer.node("Div", [last, usual], "ratio")
    halvings = writer.node("Div", [ratio, writer.floats("half", -HALF)], "halvings")
    ordinary = writer.node("Pow", [writer.floats("two", 2.0), halvings], "ordinary")
    writer.node("Sub", [writer.floats("one", 1.0), ordinary], "score")
    doc = "How far the last reading lies from the median of the window, by what is usual there. An example of a sensor model by Snowgate."
    return finish(
        "window-distance", doc, writer.nodes, list(writer.constants.values()),
        [tensor("readings", 1, VALUES)], [tensor("score", 1, 1)])


def _part(writer: Writer, values: str, name: str, start: int, end: int) -> str:
    """The values from `start` to before `end`."""
    bounds = [writer.integers(f"{name}_{bound}", [at]) for bound, at in (("start", start), ("end", end), ("axis", 1))]
    return writer.node("Slice", [values, *bounds], name)
