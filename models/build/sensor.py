"""Small models of a sensor's readings, made by hand; no weights from anywhere.

`window-distance` is an example of what such a model is given and answers. It looks at the last 64 readings, normalised by their median and their median distance from it, so that it knows nothing of units.
The last reading's distance from the median is held against the mean distance of all but the last 16: what has always gone up and down
may go on doing so. The score is 1 - 2^(-ratio / 8): half where the last reading lies eight times as far off as usual. Readings
that stay far off keep their score until they are a quarter of the window; after that they are what is usual.
"""

from pathlib import Path

from onnx import ModelProto, TensorProto

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


def stumbles(_sources: list[Path]) -> ModelProto:
    """A TEST model that fails, and answers with what is no number, when it is told to.

    Input [1, 4]. The last reading, 0 to 3, says which of the four is the answer, or rather its square root: what is negative
    has none, and a last reading beyond 3 makes the inference fail.
    """
    writer = Writer()
    last = _part(writer, "readings", "last", 3, 4)
    index = writer.node("Cast", [last], "index", to=TensorProto.INT64)
    answer = writer.node("GatherElements", ["readings", index], "answer", axis=1)
    writer.node("Sqrt", [answer], "score")
    doc = "TEST MODEL of Snowgate, made by hand: fails when it is told to. Not for use."
    return finish(
        "synthetic-stumbles", doc, writer.nodes, list(writer.constants.values()),
        [tensor("readings", 1, 4)], [tensor("score", 1, 1)])


def _part(writer: Writer, values: str, name: str, start: int, end: int) -> str:
    """The values from `start` to before `end`."""
    bounds = [writer.integers(f"{name}_{bound}", [at]) for bound, at in (("start", start), ("end", end), ("axis", 1))]
    return writer.node("Slice", [values, *bounds], name)
