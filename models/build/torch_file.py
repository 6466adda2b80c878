"""Reads a file of PyTorch's older format (before 1.6): the tensors of a state dictionary, by name. No PyTorch is needed.

Such a file is five pickles (a number, a version, the sizes of types, the dictionary, the keys of the storages) and then the
storages' values. A pickle can name any function for its reader to call. This reader knows the four names that a dictionary
of plain tensors needs, which only build data, and refuses every other.
"""

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)
class Kind:
    """What a storage's values are."""

    dtype: np.dtype


@dataclass(frozen=True)
class Storage:
    """Values that a tensor looks at; they stand behind the pickles."""

    key: str
    kind: Kind
    count: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count values."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], _gradient: bool, _hooks: OrderedDict) -> Tensor:
    return Tensor(storage, offset, shape, strides)


KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): Kind(np.dtype("<f4")),
    ("torch", "LongStorage"): Kind(np.dtype("<i8")),
}


class Unpickler(pickle.Unpickler):
    """Builds nothing but what `KNOWN` names."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a file of tensors")
        return KNOWN[module, name]

    def persistent_load(self, pid: tuple) -> Storage:
        word, kind, key, _device, count, view = pid
        if word != "storage" or not isinstance(kind, Kind) or view is not None:
            raise pickle.UnpicklingError(f"{pid!r} is no plain storage")
        return Storage(key, kind, count)


def read(path: Path) -> dict[str, np.ndarray]:
    """All tensors of the file, of any order in memory."""
    with path.open("rb") as file:
        magic, protocol, sizes = (Unpickler(file).load() for _ in range(3))
        if (magic, protocol) != (MAGIC, PROTOCOL) or not sizes["little_endian"]:
            raise ValueError(f"{path.name} is no little-endian file of PyTorch's older format")
        tensors: dict[str, Tensor] = dict(Unpickler(file).load())
        keys: list[str] = Unpickler(file).load()
        storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        values = {key: _values(file, storages[key]) for key in keys}
        if file.read(1):
            raise ValueError(f"{path.name}: bytes left over behind the storages")
    return {name: _view(values[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _values(file: BinaryIO, storage: Storage) -> np.ndarray:
    """The next storage's values: their number, then they."""
    size = storage.count * storage.kind.dtype.itemsize
    count, data = int.from_bytes(file.read(8), "little"), file.read(size)
    if count != storage.count or len(data) != size:
        raise ValueError(f"storage {storage.key}: {storage.count} values expected, {count} announced, {len(data)} bytes found")
    return np.frombuffer(data, storage.kind.dtype)


def _view(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """What the tensor looks at. Indices, not pointers: a view beyond its storage is an error."""
    places = np.array(tensor.offset, np.int64)
    for size, stride in zip(tensor.shape, tensor.strides, strict=True):
        places = places[..., None] + np.arange(size) * stride
    if places.size and places.min() < 0:
        raise ValueError(f"storage {tensor.storage.key}: a tensor begins before it")
    return values[places].astype(values.dtype.newbyteorder("="))
