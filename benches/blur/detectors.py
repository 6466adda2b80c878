"""What looks for faces that are left: detectors of other kinds than the one that covers."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from scenes import Face

CASCADES = ("haarcascade_frontalface_default", "haarcascade_frontalface_alt2", "haarcascade_profileface")

SCORE = 0.5
"""From which BlazeFace's findings count; its own programs take 0.5 to 0.75."""


class Haar:
    """OpenCV's boosted cascades (Viola and Jones), frontal and profile, at OpenCV's defaults."""

    name = "Haar"
    face = 64
    """Height in pixels that faces are enlarged to."""

    def __init__(self) -> None:
        self.cascades = [cv2.CascadeClassifier(f"{cv2.data.haarcascades}{name}.xml") for name in CASCADES]

    def find(self, pixels: np.ndarray) -> list[tuple[float, float, float]]:
        """Centre and size of what is found."""
        grey = cv2.equalizeHist(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY))
        found = [box for cascade in self.cascades for box in cascade.detectMultiScale(grey, minSize=(24, 24))]
        width = grey.shape[1]
        # The profile cascade knows one side only.
        mirrored = self.cascades[-1].detectMultiScale(np.ascontiguousarray(grey[:, ::-1]), minSize=(24, 24))
        found += [(width - x - w, y, w, h) for x, y, w, h in mirrored]
        return [(x + w / 2, y + h / 2, float(h)) for x, y, w, h in found]


class BlazeFace:
    """BlazeFace (Bazarevsky and others, 2019) as MediaPipe had it: the models for faces near and far."""

    name = "BlazeFace"
    face = 96

    def __init__(self, models: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        open_model = lambda file: onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.sessions = [(open_model(models / f"face_detection_{name}_barracuda.onnx"), side)
                         for name, side in (("front_128x128", 128), ("back_256x256", 256))]

    def find(self, pixels: np.ndarray) -> list[tuple[float, float, float]]:
        """Centre and size of what is found in a square picture."""
        found, whole = [], pixels.shape[0]
        for session, side in self.sessions:
            image = cv2.cvtColor(cv2.resize(pixels, (side, side)), cv2.COLOR_BGR2RGB).astype(np.float32) / 127.5 - 1
            near, far, near_boxes, far_boxes = session.run(None, {session.get_inputs()[0].name: image[None]})
            # 16 by 16 cells of two anchors, then 8 by 8 of six; an anchor is the middle of its cell.
            for raw, boxes, cells, anchors in ((near, near_boxes, 16, 2), (far, far_boxes, 8, 6)):
                for index in np.flatnonzero(raw[0, :, 0] >= np.log(SCORE / (1 - SCORE))):
                    row, column = divmod(index // anchors, cells)
                    x, y, _, height = boxes[0, index, :4] / side
                    found.append((((column + 0.5) / cells + x) * whole, ((row + 0.5) / cells + y) * whole, height * whole))
        return found


def finds(detector: Haar | BlazeFace, pixels: np.ndarray, face: Face) -> bool:
    """Whether the detector finds this face: it is shown what lies around it, enlarged, and of a turned face that once more, turned
    back. A finding counts when its centre lies less than half the face's size from the face's, and its size is like the face's."""
    return any(_finds(detector, pixels, face, angle) for angle in {0.0, face.angle})


def _finds(detector: Haar | BlazeFace, pixels: np.ndarray, face: Face, angle: float) -> bool:
    size = max(face.width, face.height)
    for around in (2.0, 3.5):
        scale = detector.face / size
        side = round(detector.face * around)
        # What the picture was turned by about its middle is taken back about the face's.
        matrix = cv2.getRotationMatrix2D((face.x, face.y), -angle, scale)
        matrix[:, 2] += side / 2 - face.x, side / 2 - face.y
        shown = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for x, y, height in detector.find(shown):
            near = np.hypot(x - side / 2, y - side / 2) < 0.5 * detector.face
            if near and 0.4 < height / detector.face < 2.0:
                return True
    return False
