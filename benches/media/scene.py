"""The empty street and its camera's noise, as planes of 8-bit YCbCr 4:2:0."""

import numpy as np

WIDTH, HEIGHT, FPS = 1920, 1080, 25
SOURCE_WIDTH, SOURCE_HEIGHT, SOURCE_FPS = 768, 576, 10
TOP = 72
"""Rows cut off above and below make 4:3 into 16:9."""
SCALE = 2.5
"""Pixels of the scene per pixel of the source. So 4 source pixels are 10 of luma and 5 of chroma: crops are aligned to that."""
ALIGN = 4

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def source_planes(frame: np.ndarray) -> Planes:
    """A raw I420 picture of the source as views of Y, Cb, Cr."""
    luma, chroma = SOURCE_WIDTH * SOURCE_HEIGHT, SOURCE_WIDTH * SOURCE_HEIGHT // 4
    half = (SOURCE_HEIGHT // 2, SOURCE_WIDTH // 2)
    return (
        frame[:luma].reshape(SOURCE_HEIGHT, SOURCE_WIDTH),
        frame[luma : luma + chroma].reshape(half),
        frame[luma + chroma :].reshape(half),
    )


def enlarge(plane: np.ndarray) -> np.ndarray:
    """`plane` 2.5 times as large, float32: separable Catmull-Rom, each axis one matrix product."""
    rows, columns = (_weights(size) for size in plane.shape)
    return rows @ plane.astype(np.float32) @ columns.T


def _weights(size: int) -> np.ndarray:
    """The Catmull-Rom matrix from `size` samples to `2.5 * size`; the edges are repeated."""
    count = round(size * SCALE)
    at = (np.arange(count) + 0.5) / SCALE - 0.5
    first = np.floor(at).astype(int) - 1
    matrix = np.zeros((count, size), np.float32)
    for tap in range(4):
        x = np.abs(at - (first + tap))
        near = 1.5 * x**3 - 2.5 * x**2 + 1
        far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        np.add.at(matrix, (np.arange(count), np.clip(first + tap, 0, size - 1)), np.where(x < 1, near, far))
    return matrix


def median(source: np.ndarray) -> np.ndarray:
    """The street with nobody in it: each sample's median over time. I420 like the pictures of `source`."""
    return np.median(source[::8], axis=0).astype(np.uint8)


def background(empty: np.ndarray, seed: int) -> Planes:
    """The empty street at full size. Enlarging gives no detail that a 1080p camera would see, so a fixed fine grain,
    strong where the source itself is rough (grass, brick), stands in for it."""
    y, cb, cr = (plane[TOP >> (i > 0) : plane.shape[0] - (TOP >> (i > 0))] for i, plane in enumerate(source_planes(empty)))
    rough = np.abs(y - _blurred(y.astype(np.float32), 2))
    grain = _correlated(np.random.default_rng(seed), (HEIGHT, WIDTH))
    luma = enlarge(y) + grain * (0.8 + 0.6 * np.clip(enlarge(_blurred(rough, 3)), 0, 8))
    return _to_bytes(luma), _to_bytes(enlarge(cb)), _to_bytes(enlarge(cr))


class Noise:
    """Sensor noise: Gaussian, new in every picture, a little correlated between neighbours (demosaicing), stronger in the dark,
    where a camera's gain and gamma lift it.

    Drawing four million Gaussians a picture would cost most of the time, so fields are drawn once, larger than the
    picture, and each picture takes one at a random place, mirrored at random. Fields follow each other in shuffled rounds: one
    comes back only after many others, in another place: nothing an encoder with few reference pictures can predict from."""

    FIELDS = 48
    SPARE = 128
    UNIT = 24
    """Standard deviation of the stored 8-bit fields."""

    def __init__(self, scene: Planes, sigma: float, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        shape = (HEIGHT + self.SPARE, WIDTH + self.SPARE)
        self._fields = [
            np.clip(np.rint(_correlated(self._random, shape) * self.UNIT), -127, 127).astype(np.int8) for _ in range(self.FIELDS)
        ]
        self._round: list[int] = []
        dark = 1.25 - 0.5 * scene[0].astype(np.float32) / 255
        # Eight binary places: the product with a field stays within 16 bits.
        self._gain = np.rint(dark * (sigma / self.UNIT * 256)).astype(np.int16)
        self._chroma_gain = np.int16(round(sigma * 0.4 / self.UNIT * 256))

    def add(self, planes: Planes) -> Planes:
        """The picture as the sensor sees it now."""
        if not self._round:
            self._round = list(self._random.permutation(self.FIELDS))
        field = self._fields[self._round.pop()]
        top, left, flips = self._random.integers(0, (self.SPARE, self.SPARE, 4))
        view = field[top : top + HEIGHT, left : left + WIDTH][:: 1 - 2 * (flips & 1), :: 1 - (flips & 2)]
        luma = _noisy(planes[0], view, self._gain)
        # Other parts of the field, so that colour does not follow brightness.
        cb = _noisy(planes[1], view[::-1][: HEIGHT // 2, : WIDTH // 2], self._chroma_gain)
        cr = _noisy(planes[2], view[:, ::-1][: HEIGHT // 2, : WIDTH // 2], self._chroma_gain)
        return luma, cb, cr


def _noisy(plane: np.ndarray, field: np.ndarray, gain: np.ndarray) -> np.ndarray:
    out = np.empty_like(plane)
    for top in range(0, len(plane), 60):  # strips stay in the processor's cache
        rows = slice(top, top + 60)
        noise = field[rows] * (gain[rows] if gain.ndim else gain)
        noise += 128
        noise >>= 8
        noise += plane[rows]
        out[rows] = np.clip(noise, 0, 255, out=noise)
    return out


def _correlated(random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Unit-variance Gaussian noise, float32, whose neighbours correlate by 0.3."""
    white = random.standard_normal((shape[0] + 1, shape[1] + 1), np.float32)
    share = np.float32(0.34)  # of the neighbour to the right, then of the one below
    across = white[:, :-1] + share * white[:, 1:]
    both = across[:-1] + share * across[1:]
    return both / np.float32(1 + share**2)


def _blurred(plane: np.ndarray, radius: int) -> np.ndarray:
    """Mean over squares of `2 * radius + 1`."""
    size = 2 * radius + 1
    for axis in (0, 1):
        pad = [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)]
        total = np.cumsum(np.pad(plane, pad, mode="edge"), axis=axis, dtype=np.float64)
        length = plane.shape[axis]
        total = np.moveaxis(total, axis, 0)
        plane = np.moveaxis((total[size : size + length] - total[:length]) / size, 0, axis).astype(np.float32)
    return plane


def _to_bytes(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)
