"""A small writer of ONNX graphs, and the one way all our model files are put together."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

OPSET = 13
"""Old enough for every ONNX Runtime in use, new enough for axes as inputs."""

IR_VERSION = 8


@dataclass
class Writer:
    """Collects nodes and constants in the order they are asked for."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: np.ndarray) -> str:
        """Stores a constant under `name`; gives the name."""
        value = np.ascontiguousarray(value)
        little_endian = value.astype(value.dtype.newbyteorder("<"))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        self.constants[name] = helper.make_tensor(name, kind, value.shape, little_endian.tobytes(), raw=True)
        return name

    def scalar(self, name: str, value: np.generic) -> str:
        """Stores a constant without dimensions."""
        self.constant(name, np.asarray(value))
        del self.constants[name].dims[:]
        return name

    def floats(self, name: str, values: object) -> str:
        """A float32 constant."""
        return self.constant(name, np.array(values, np.float32))

    def integers(self, name: str, values: object) -> str:
        """An int64 constant: shapes, axes, indices."""
        return self.constant(name, np.array(values, np.int64))

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Adds a node with one output; gives the output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def finish(
    name: str, doc: str, nodes: list[NodeProto], constants: list[TensorProto],
    inputs: list[ValueInfoProto], outputs: list[ValueInfoProto],
) -> ModelProto:
    """Makes the model, and has ONNX check it and its shapes."""
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "snowgate"
    model.doc_string = doc
    onnx.checker.check_model(model, full_check=True)
    return model


def tensor(name: str, *shape: int | str) -> ValueInfoProto:
    """Describes a float32 input or output; a name in place of a size leaves it free."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
