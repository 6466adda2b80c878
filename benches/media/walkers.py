"""People who walk alone through the source clip, cut out picture by picture."""

from dataclasses import dataclass

import numpy as np

from scene import ALIGN, FPS, SCALE, SOURCE_FPS, SOURCE_HEIGHT, SOURCE_WIDTH, TOP, Planes, enlarge, source_planes

MARGIN = 8
"""Source pixels around a person that belong to the cut-out: shadow, feather."""


@dataclass(frozen=True)
class Box:
    """Pixels of the scene; right and bottom are outside."""

    left: float
    top: float
    right: float
    bottom: float

    def moved(self, dx: float, dy: float) -> "Box":
        """The same box elsewhere."""
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def distance(self, other: "Box") -> float:
        """The gap between two boxes along the axis that parts them more; negative where they overlap."""
        across = max(self.left - other.right, other.left - self.right)
        return max(across, max(self.top - other.bottom, other.top - self.bottom))


@dataclass(frozen=True)
class Cutout:
    """A person in one picture of the source, at the scene's size."""

    left: int
    top: int
    colour: Planes
    alpha: tuple[np.ndarray, np.ndarray]
    """For luma and for chroma, 0–1."""
    box: Box


class Walker:
    """One person's way through the source, ten cut-outs a second."""

    def __init__(self, name: str, cutouts: list[Cutout]) -> None:
        self.name = name
        self._cutouts = cutouts
        # Legs swing and arms wave; the way is smoothed over half a second so that the steps between pictures are even.
        at = np.array([((c.box.left + c.box.right) / 2, c.box.bottom) for c in cutouts])
        padded = np.pad(at, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
        self._way = sum(padded[i : i + len(at)] for i in range(5)) / 5

    @property
    def frames(self) -> int:
        """Pictures of the scene it lasts."""
        return (len(self._cutouts) - 1) * FPS // SOURCE_FPS

    def _at(self, frame: int) -> tuple[Cutout, int, int]:
        """The nearest cut-out, and how far from its place the person is by now."""
        time = frame * SOURCE_FPS / FPS
        before = min(int(time), len(self._way) - 2)
        share = time - before
        nearest = before + round(share)
        dx, dy = self._way[before] * (1 - share) + self._way[before + 1] * share - self._way[nearest]
        return self._cutouts[nearest], 2 * round(dx / 2), 2 * round(dy / 2)  # even: chroma moves with luma

    def box(self, frame: int) -> Box:
        """Where the person is in the scene `frame` pictures after the walk begins."""
        cutout, dx, dy = self._at(frame)
        return cutout.box.moved(dx, dy)

    def paint(self, frame: int, planes: Planes) -> None:
        """Puts the person into the scene."""
        cutout, dx, dy = self._at(frame)
        for i, plane in enumerate(planes):
            shrink = 1 if i == 0 else 2
            alpha, colour = cutout.alpha[i > 0], cutout.colour[i]
            top, left = (cutout.top + dy) // shrink, (cutout.left + dx) // shrink
            rows = slice(max(top, 0), min(top + alpha.shape[0], plane.shape[0]))
            columns = slice(max(left, 0), min(left + alpha.shape[1], plane.shape[1]))
            own = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
            under = plane[rows, columns].astype(np.float32)
            mixed = under + alpha[own] * (colour[own] - under)
            plane[rows, columns] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def cut(name: str, frames: tuple[int, int], seed: tuple[int, int, int, int], source: np.ndarray, empty: np.ndarray) -> Walker:
    """Follows the person who stands in the box `seed` (left, top, right, bottom in source pixels) in the first frame."""
    left, top, right, bottom = seed
    mask = np.zeros((SOURCE_HEIGHT, SOURCE_WIDTH), bool)
    mask[top + (bottom - top) // 4 : bottom - (bottom - top) // 4, left + (right - left) // 4 : right - (right - left) // 4] = True
    nothing = source_planes(empty)
    cutouts = []
    step = (0, 0)
    for index in range(frames[0], frames[1] + 1):
        planes = source_planes(source[index])
        window = _around((left + step[0], top + step[1], right + step[0], bottom + step[1]))
        differs = _difference(planes, nothing, window)
        person = _connected(differs, mask[window])
        if not person.any():
            raise SystemExit(f"walker {name}: nobody in frame {index}")
        ys, xs = np.nonzero(person)
        box = (window[1].start + xs.min(), window[0].start + ys.min(), window[1].start + xs.max() + 1, window[0].start + ys.max() + 1)
        step = ((box[0] + box[2] - left - right) // 2, box[3] - bottom) if cutouts else (0, 0)
        left, top, right, bottom = box
        mask[:] = False
        mask[window] = _eroded(person, 2)
        cutouts.append(_cutout(planes, person, window, box))
    return Walker(name, cutouts)


def _around(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Rows and columns of `box` with room to move, aligned so that enlarging gives whole pixels."""
    room = 2 * MARGIN
    top = max((box[1] - room) // ALIGN * ALIGN, 0)
    left = max((box[0] - room) // ALIGN * ALIGN, 0)
    bottom = min(-(-(box[3] + room) // ALIGN) * ALIGN, SOURCE_HEIGHT)
    right = min(-(-(box[2] + room) // ALIGN) * ALIGN, SOURCE_WIDTH)
    return slice(top, bottom), slice(left, right)


def _difference(planes: Planes, nothing: Planes, window: tuple[slice, slice]) -> np.ndarray:
    """Where the picture differs from the empty street."""
    half = tuple(slice(s.start // 2, s.stop // 2) for s in window)
    luma = _smooth(np.abs(_smooth(planes[0][window]) - _smooth(nothing[0][window])))
    chroma = sum(np.abs(_smooth(planes[i][half]) - _smooth(nothing[i][half])) for i in (1, 2))
    differs = (luma > 11) | (np.kron(chroma, np.ones((2, 2))) > 9)
    return _eroded(_dilated(differs, 2), 2)


def _connected(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """What of `mask` hangs together with `seed`, holes filled."""
    person = _flooded(mask, seed)
    border = np.zeros_like(mask)
    border[0], border[-1], border[:, 0], border[:, -1] = True, True, True, True
    return ~_flooded(~person, border)


def _flooded(mask: np.ndarray, seed: np.ndarray) -> np.ndarray:
    reached = mask & seed
    while True:
        more = _dilated(reached, 1) & mask
        if (more == reached).all():
            return reached
        reached = more


def _cutout(planes: Planes, person: np.ndarray, window: tuple[slice, slice], box: tuple[int, int, int, int]) -> Cutout:
    soft = _smooth(_smooth(_dilated(person, 2).astype(np.float32)))  # a feather of about two source pixels
    half = tuple(slice(s.start // 2, s.stop // 2) for s in window)
    halved = (soft[::2, ::2] + soft[1::2, ::2] + soft[::2, 1::2] + soft[1::2, 1::2]) / 4
    return Cutout(
        left=round(window[1].start * SCALE),
        top=round((window[0].start - TOP) * SCALE),
        colour=(enlarge(planes[0][window]), enlarge(planes[1][half]), enlarge(planes[2][half])),
        alpha=(np.clip(enlarge(soft), 0, 1), np.clip(enlarge(halved), 0, 1)),
        box=Box(box[0] * SCALE, (box[1] - TOP) * SCALE, box[2] * SCALE, (box[3] - TOP) * SCALE),
    )


def _smooth(plane: np.ndarray) -> np.ndarray:
    """Mean over 3 x 3."""
    padded = np.pad(plane.astype(np.float32), 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9


def _dilated(mask: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        padded = np.pad(mask, 1)
        rows = padded[:-2] | padded[1:-1] | padded[2:]
        mask = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return mask


def _eroded(mask: np.ndarray, times: int) -> np.ndarray:
    return ~_dilated(~mask, times)
