"""The frames that are shown: pictures with known faces, made small, treated, and put side by side or into a street."""

import math
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

SIZES = (12, 16, 24, 32, 48)
"""Heights of a face in pixels of the published still."""

TREATMENTS = ("plain", "dark", "blurred", "rotated +30°", "rotated -30°", "dark, blurred, rotated")

SEED = 6
"""Of the sensor noise and of where pictures stand in the street."""

GAP = 6
"""Pixels between two pictures side by side."""


@dataclass
class Face:
    """A face in a frame: the centre and size of its box, upright as it was before the picture was turned by `angle`."""

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    def moved(self, x: float, y: float, scale: float = 1.0) -> "Face":
        """The same in a frame that holds its picture at (x, y), scaled first."""
        return Face(self.x * scale + x, self.y * scale + y, self.width * scale, self.height * scale, self.angle)


@dataclass
class Frame:
    """One frame: BGR pixels and the faces that are in it."""

    pixels: np.ndarray
    faces: list[Face] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """Frames of one kind."""

    layout: str
    size: int
    treatment: str
    frames: list[Frame]


def material(file: Path, media: Path) -> list[Frame]:
    """The pictures of `faces.toml` with their faces."""
    pictures = []
    for entry in tomllib.loads(file.read_text())["picture"]:
        path = media / entry["file"]
        pixels = clip(path, [entry["frame"]])[0] if "frame" in entry else cv2.imread(str(path))
        faces = [Face(x + width / 2, y + height / 2, width, height) for x, y, width, height in entry["faces"]]
        pictures.append(Frame(pixels, faces))
    return pictures


def clip(path: Path, frames: list[int]) -> list[np.ndarray]:
    """These frames of a clip."""
    video, found = cv2.VideoCapture(str(path)), []
    for index in range(max(frames) + 1):
        read, pixels = video.read()
        if not read:
            raise SystemExit(f"{path} has no frame {index}")
        if index in frames:
            found.append(pixels)
    return found


def groups(pictures: list[Frame], street: list[np.ndarray], sizes: Iterable[int], quick: bool) -> Iterator[Group]:
    """All frames but the street's own: these sizes and every treatment, side by side, in the street, and as a camera of four megapixels
    sees them, whose stills are half as wide."""
    for size in sizes:
        for treatment in TREATMENTS:
            small = [treated(picture, size, treatment) for picture in pictures]
            yield Group("side by side", size, treatment, side_by_side(small, 1280, 720))
            if not quick:
                yield Group("in a street", size, treatment, in_a_street(small, street))
                large = [treated(picture, 2 * size, treatment) for picture in pictures]
                yield Group("4 MP, scaled", size, treatment, side_by_side(large, 2560, 1440))


def treated(picture: Frame, size: int, treatment: str) -> Frame:
    """The picture with faces of this height on average, and what was done to it."""
    scale = size / np.mean([face.height for face in picture.faces])
    height, width = picture.pixels.shape[:2]
    pixels = cv2.resize(picture.pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    small = Frame(pixels, [face.moved(0, 0, scale) for face in picture.faces])
    if "rotated" in treatment:
        small = turned(small, -30 if "-30" in treatment else 30)
    if "blurred" in treatment:
        small.pixels = cv2.GaussianBlur(small.pixels, (0, 0), 0.06 * size)
    if "dark" in treatment:
        noise = np.random.default_rng(SEED).normal(0, 3, small.pixels.shape)
        small.pixels = np.clip(small.pixels * 0.25 + noise, 0, 255).astype(np.uint8)
    return small


def turned(picture: Frame, degrees: float) -> Frame:
    """The picture turned about its middle, on a sheet that holds all of it, its corners in the picture's mean colour."""
    height, width = picture.pixels.shape[:2]
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    sheet = (math.ceil(width * cosine + height * sine), math.ceil(width * sine + height * cosine))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (sheet[0] - width) / 2, (sheet[1] - height) / 2
    colour = picture.pixels.reshape(-1, 3).mean(axis=0)
    pixels = cv2.warpAffine(picture.pixels, matrix, sheet, flags=cv2.INTER_LINEAR, borderValue=colour)
    place = lambda face: matrix @ (face.x, face.y, 1.0)
    return Frame(pixels, [Face(*place(face), face.width, face.height, degrees) for face in picture.faces])


def side_by_side(pictures: list[Frame], width: int, height: int) -> list[Frame]:
    """The pictures in rows, on as many grey sheets as they need."""
    sheets, x, y, row = [], 0, 0, 0
    for picture in sorted(pictures, key=lambda picture: picture.pixels.shape[0]):
        down, across = picture.pixels.shape[:2]
        if sheets and x + across > width:
            x, y, row = 0, y + row + GAP, 0
        if not sheets or y + down > height:
            sheets.append(Frame(np.full((height, width, 3), 120, np.uint8)))
            x, y, row = 0, 0, 0
        put(sheets[-1], picture, x, y)
        x, row = x + across + GAP, max(row, down)
    return sheets


def in_a_street(pictures: list[Frame], street: list[np.ndarray]) -> list[Frame]:
    """The pictures among passers-by, each where a lot puts it, none upon another."""
    lots, frames, taken = np.random.default_rng(SEED), [], []
    for picture in pictures:
        down, across = picture.pixels.shape[:2]
        for _ in range(200):
            height, width = street[0].shape[:2]
            x, y = int(lots.integers(0, width - across)), int(lots.integers(0, height - down))
            free = all(x + across < a or a + w < x or y + down < b or b + h < y for a, b, w, h in taken)
            if frames and free and len(taken) < 8:
                break
        else:
            frames.append(Frame(street[len(frames) % len(street)].copy()))
            taken = []
        put(frames[-1], picture, x, y)
        taken.append((x, y, across, down))
    return frames


def put(sheet: Frame, picture: Frame, x: int, y: int) -> None:
    """Puts a picture into a frame; its faces are the frame's from then on."""
    down, across = picture.pixels.shape[:2]
    sheet.pixels[y : y + down, x : x + across] = picture.pixels
    sheet.faces += [face.moved(x, y) for face in picture.faces]
