"""`make bench-blur`: who can still be found in stills, by detectors that had no part in covering them.

For every size and treatment of known faces: how many a detector finds in the untouched frame, and how many of these it still finds
in the still that leaves the box; beside it the same for frames covered by `deface` at its defaults.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from deface.centerface import CenterFace
from deface.deface import anonymize_frame

import scenes
from detectors import BlazeFace, Haar, finds
from scenes import Face, Frame, Group

ROOT = Path(__file__).resolve().parent.parent.parent

COVER = 96
"""The grey of what covers; JPEG moves it by a few steps."""

STREET = [0, 100, 200, 300, 400, 500, 600, 700]
"""Frames of the street clip that are shown as they are, and that pictures are put into."""


class Counts:
    """Faces of one row of the table."""

    def __init__(self) -> None:
        self.faces = self.bare = 0
        self.before, self.after, self.seen, self.deface = ({"Haar": 0, "BlazeFace": 0} for _ in range(4))

    def row(self) -> dict:
        return {"faces": self.faces, "not_covered": self.bare, "found_before": self.before, "found_after": self.after,
                "of_these_bare": self.seen, "found_after_deface": self.deface}


def main() -> None:
    arguments = parsed()
    started = time.monotonic()
    media = ROOT / "assets/media"
    pictures = scenes.material(Path(__file__).with_name("faces.toml"), media)
    street = scenes.clip(media / "vtest.mp4", STREET)
    groups = list(scenes.groups(pictures, street, arguments.sizes, arguments.quick))
    sample = slice(None, None, 4 if arguments.quick else 1)
    groups.append(Group("untouched pictures", 0, "plain", [even(picture) for picture in pictures[sample]]))
    groups.append(Group("the street alone", 0, "plain", [Frame(frame) for frame in street[sample]]))
    detectors = [Haar(), BlazeFace(ROOT / "assets/blazeface")]
    with contextlib.redirect_stdout(io.StringIO()):  # it says which processor it runs on
        deface = Deface()
    total, by = Counts(), {}
    ours, doubtful = [], {name: [0, 0] for name in ("agreed", "Haar alone", "BlazeFace alone")}
    with tempfile.TemporaryDirectory() as folder:
        for number, group in enumerate(groups, 1):
            print(f"{number}/{len(groups)} {group.layout}, {group.size} px, {group.treatment}", file=sys.stderr, flush=True)
            keys = [("layout", group.layout)]
            if group.size:
                keys += [("size", f"{group.size} px"), ("treatment", group.treatment)]
            rows = [total] + [by.setdefault(key, Counts()) for key in keys]
            for frame, (still, facts) in zip(group.frames, stills(arguments.stills, group, Path(folder))):
                ours.append({**facts, "layout": group.layout, "size": group.size, "treatment": group.treatment})
                count(rows, frame, still, deface, detectors, arguments.misses)
                if group.layout == "the street alone":
                    look_everywhere(frame.pixels, still, detectors, doubtful)
    report(arguments, total, by, ours, deface.milliseconds, doubtful, time.monotonic() - started)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=Path, required=True, help="the program that makes stills (snowgate-benches, bin stills)")
    parser.add_argument("--quick", action="store_true", help="a third of it: whether everything works, not figures to publish")
    parser.add_argument("--sizes", type=int, nargs="+", default=scenes.SIZES, help="heights of faces in pixels of the still")
    parser.add_argument("--misses", type=Path, help="a picture of each face that is still found goes there, for people to look at")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class Deface:
    """deface 1.5.0 with what its command line takes by default: threshold 0.2, blur, ellipse, mask scale 1.3."""

    def __init__(self) -> None:
        self.face = CenterFace(in_shape=None, backend="onnxrt", override_execution_provider="CPUExecutionProvider")
        self.milliseconds: list[float] = []

    def cover(self, pixels: np.ndarray) -> np.ndarray:
        before = time.process_time()  # of all threads
        rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        found, _ = self.face(rgb, threshold=0.2)
        anonymize_frame(found, rgb, mask_scale=1.3, replacewith="blur", ellipse=True, draw_scores=False, replaceimg=None, mosaicsize=20)
        covered = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        cv2.imencode(".jpg", covered, [cv2.IMWRITE_JPEG_QUALITY, 80])
        self.milliseconds.append((time.process_time() - before) * 1000)
        return covered


def even(picture: Frame) -> Frame:
    """A picture with even sides, as cameras' are."""
    height, width = (side // 2 * 2 for side in picture.pixels.shape[:2])
    return Frame(picture.pixels[:height, :width], picture.faces)


def stills(program: Path, group: Group, folder: Path) -> list[tuple[np.ndarray, dict]]:
    """The stills of a group's frames, in their order."""
    files = []
    for index, frame in enumerate(group.frames):
        files.append(folder / f"{index}.y4m")
        height, width = frame.pixels.shape[:2]
        planes = cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2YUV_I420).tobytes()
        files[-1].write_bytes(b"YUV4MPEG2 W%d H%d F1:1 Ip A1:1 C420jpeg\nFRAME\n" % (width, height) + planes)
    done = subprocess.run([program, *files, "--to", folder], stdout=subprocess.PIPE, text=True, check=True)
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    return [(cv2.imread(str(folder / fact["still"])), fact) for fact in facts]


def count(rows: list[Counts], frame: Frame, still: np.ndarray, deface: Deface, detectors: list, misses: Path | None) -> None:
    """Counts a frame's faces, before and after."""
    scale = still.shape[1] / frame.pixels.shape[1]
    fitted = lambda pixels: cv2.resize(pixels, still.shape[1::-1], interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    untouched, defaced = fitted(frame.pixels), fitted(deface.cover(frame.pixels))
    for face in (face.moved(0, 0, scale) for face in frame.faces):
        bare = is_bare(still, face)
        for row in rows:
            row.faces += 1
            row.bare += bare
        for detector in detectors:
            if not finds(detector, untouched, face):
                continue
            found, found_defaced = finds(detector, still, face), finds(detector, defaced, face)
            for row in rows:
                row.before[detector.name] += 1
                row.after[detector.name] += found
                row.seen[detector.name] += found and bare
                row.deface[detector.name] += found_defaced
        if misses and bare:
            keep(misses, untouched, still, face)


def is_bare(still: np.ndarray, face: Face) -> bool:
    """Whether anything of a face can be seen: of the inner half of its box, both ways, more than 5 % is not the cover's colour."""
    across, down = max(1, round(face.width / 4)), max(1, round(face.height / 4))
    x, y = round(face.x), round(face.y)
    inner = still[max(0, y - down) : y + down, max(0, x - across) : x + across].astype(int)
    return float((np.abs(inner - COVER).max(axis=2) > 12).mean()) > 0.05


def keep(folder: Path, untouched: np.ndarray, still: np.ndarray, face: Face) -> None:
    """Writes what surrounds a face, before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    size = round(3 * max(face.width, face.height))
    cut = lambda pixels: cv2.resize(cv2.getRectSubPix(pixels, (size, size), (face.x, face.y)), (160, 160))
    name = f"{len(list(folder.iterdir())):03}-{round(face.height)}px-{round(face.angle)}.png"
    cv2.imwrite(str(folder / name), np.hstack([cut(untouched), cut(still)]))


def look_everywhere(untouched: np.ndarray, still: np.ndarray, detectors: list, doubtful: dict[str, list[int]]) -> None:
    """In the street nobody's face is known beforehand. What two kinds of detectors find at one place is a face; what one finds alone
    may be a wall, and is counted apart."""
    findings = {detector.name: everywhere(detector, untouched) for detector in detectors}
    for name, others in (("Haar", "BlazeFace"), ("BlazeFace", "Haar")):
        for face in findings[name]:
            agreed = any(np.hypot(face.x - o.x, face.y - o.y) < 0.5 * max(face.height, o.height) for o in findings[others])
            if agreed and name == "BlazeFace":
                continue  # counted once
            row = doubtful["agreed" if agreed else f"{name} alone"]
            row[0] += 1
            detector = next(detector for detector in detectors if detector.name == name)
            row[1] += finds(detector, still, face)


def everywhere(detector: Haar | BlazeFace, pixels: np.ndarray) -> list[Face]:
    """What a detector finds in a whole frame: in squares that overlap by half, enlarged three times."""
    found: list[Face] = []
    side, height, width = 96, *pixels.shape[:2]
    for y in range(0, height - side + 1, side // 2):
        for x in range(0, width - side + 1, side // 2):
            square = cv2.resize(pixels[y : y + side, x : x + side], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
            for a, b, size in detector.find(square):
                face = Face(x + a / 3, y + b / 3, size / 3, size / 3)
                if size and all(np.hypot(face.x - f.x, face.y - f.y) > 0.5 * f.height for f in found):
                    found.append(face)
    return found


def report(arguments: argparse.Namespace, total: Counts, by: dict, ours: list[dict], theirs: list[float], doubtful: dict, seconds: float) -> None:
    """Text for people, JSON for machines."""
    sizes = " ".join(map(str, arguments.sizes))
    lines = [f"blur --sizes {sizes}{' --quick' if arguments.quick else ''}", machine(), ""]
    heading = f"{'':26}{'faces':>7}{'bare':>6} | {'Haar before':>12}{'after':>7}{'bare':>6}{'deface':>8} | {'BlazeFace before':>17}{'after':>7}{'bare':>6}{'deface':>8}"
    lines += [heading, "-" * len(heading)]
    for key, counts in [(("all", "all"), total), *by.items()]:
        line = f"{key[1]:26}{counts.faces:7}{counts.bare:6}"
        for name, width in (("Haar", 13), ("BlazeFace", 18)):
            line += f" | {counts.before[name]:{width - 1}}{counts.after[name]:7}{counts.seen[name]:6}{counts.deface[name]:8}"
        lines.append(line)
    lines += ["", "In the street alone, where nobody's face is known (two detectors agree: a face; one alone: perhaps a wall): before, after"]
    lines += [f"  {name:16}{before:6}{after:6}" for name, (before, after) in doubtful.items()]
    cost, covered = {}, {}
    for still in ours:
        cost.setdefault(still["layout"], []).append(still["milliseconds"])
        covered.setdefault(still["layout"], []).append(still["covered"])
    lines += ["", f"{'per still':26}{'stills':>7}{'covered':>9}{'median ms':>11}{'most ms':>9}   (processor time)"]
    for layout, times in cost.items():
        lines.append(f"{layout:26}{len(times):7}{100 * np.mean(covered[layout]):8.1f}%{np.median(times):11.0f}{max(times):9.0f}")
    lines.append(f"{'deface, all':26}{len(theirs):7}{'':9}{np.median(theirs):11.0f}{max(theirs):9.0f}")
    lines += ["", f"measured in {seconds:.0f} s"]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    figures = {"machine": machine(), "all": total.row(), "street": doubtful, "stills": ours, "deface_milliseconds": theirs,
               "by": [{"what": what, "value": value, **counts.row()} for (what, value), counts in by.items()]}
    for file, content in ((arguments.text, text), (arguments.json, json.dumps(figures, indent=1) + "\n")):
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)


def machine() -> str:
    """What the figures were measured on."""
    names = [line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    load = " ".join(f"{load:.2f}" for load in os.getloadavg())
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, kernel {platform.release()}; load average {load}"


if __name__ == "__main__":
    main()
