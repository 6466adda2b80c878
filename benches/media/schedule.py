"""Who walks when."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scene import FPS, HEIGHT, WIDTH
from walkers import Box, Walker

SHORTEST = 2 * FPS
"""Pictures the shortest walk of a busy clip lasts."""
APART = 40
"""Pixels of the scene that people keep from each other, so that nobody is hidden and no two are one blob."""
CLEAR_AFTER = 3 * FPS
"""Pictures for which nobody begins where somebody has just ended: a tracker may still wait for that one there."""


@dataclass(frozen=True)
class Event:
    """One person's visit: pictures `begin` to `end` (not included) of the clip show the walk from its picture `start` on."""

    walker: Walker
    start: int
    begin: int
    end: int

    def box(self, frame: int) -> Box:
        """Where the person is in the clip's picture `frame`."""
        return self.walker.box(self.start + frame - self.begin)

    def shows(self, frame: int) -> bool:
        """Whether the person is in the clip's picture `frame`."""
        return self.begin <= frame < self.end


def written(entries: list[dict], walkers: dict[str, Walker]) -> list[Event]:
    """The events of a recipe that lists them."""
    events = []
    for entry in entries:
        walker, begin, length = walkers[entry["walker"]], round(entry["begin"] * FPS), round(entry["seconds"] * FPS)
        if length > walker.frames:
            raise SystemExit(f"walker {walker.name} walks for {walker.frames / FPS} s, not for {entry['seconds']} s")
        events.append(Event(walker, 0, begin, begin + length))
    return events


def busy(most: int, frames: int, walkers: dict[str, Walker], seed: int) -> list[Event]:
    """One to `most` people at nearly all times, drawn at random, never close to each other. The clip is played in a loop, so
    its end keeps away from its beginning too."""
    random = np.random.default_rng(seed)
    everyone = list(walkers.values())
    events: list[Event] = []
    for frame in range(0, frames - SHORTEST, 5):
        present = sum(event.shows(frame) for event in events)
        # Somebody is nearly always wanted, a second one often, a third one at times.
        if present >= most or random.random() > (0.9, 0.25, 0.08)[min(present, 2)]:
            continue
        for _ in range(20):
            walker = everyone[random.integers(len(everyone))]
            if walker.frames < SHORTEST:
                continue
            start = int(random.integers(0, walker.frames - SHORTEST + 1))
            begin = frame + int(random.integers(0, 5))
            event = Event(walker, start, begin, min(begin + walker.frames - start, frames))
            if event.end - begin >= SHORTEST and all(_apart(event, other, frames) for other in events):
                events.append(event)
                break
    return sorted(events, key=lambda event: event.begin)


def _apart(new: Event, old: Event, frames: int) -> bool:
    for shift in (-frames, 0, frames):  # the loop's neighbours
        begin, end = old.begin + shift, old.end + shift
        for frame in range(max(new.begin, begin), min(new.end, end)):
            if new.box(frame).distance(old.box(frame - shift)) < APART:
                return False
        for first, second, gap in ((new, old, begin - new.end), (old, new, new.begin - end)):
            if 0 <= gap < CLEAR_AFTER and first.box(first.end - 1).distance(second.box(second.begin)) < 2 * APART:
                return False
    return True


def described(events: list[Event], zone: list[list[float]]) -> Iterator[dict]:
    """The events as the clip's JSON has them; stops if somebody's feet leave the zone."""
    left, top = (min(corner[axis] for corner in zone) for axis in (0, 1))
    right, bottom = (max(corner[axis] for corner in zone) for axis in (0, 1))
    for number, event in enumerate(events):
        for frame in range(event.begin, event.end):
            box = event.box(frame)
            x, y = (box.left + box.right) / 2 / WIDTH, box.bottom / HEIGHT
            if not (left < x < right and top < y < bottom):
                raise SystemExit(f"walker {event.walker.name} leaves the zone: feet at {x:.3f}, {y:.3f}")
        middle = (event.begin + event.end) // 2
        places = {"begin": event.begin, "middle": middle, "end": event.end - 1}
        yield {
            "id": f"e{number:02}",
            "walker": event.walker.name,
            "begin_s": event.begin / FPS,
            "end_s": event.end / FPS,
            "first_frame": event.begin,
            "last_frame": event.end - 1,
            "boxes": {name: _fractions(event.box(frame)) for name, frame in places.items()},
        }


def _fractions(box: Box) -> list[float]:
    clipped = (max(box.left, 0) / WIDTH, max(box.top, 0) / HEIGHT, min(box.right, WIDTH) / WIDTH, min(box.bottom, HEIGHT) / HEIGHT)
    return [round(float(side), 4) for side in clipped]
