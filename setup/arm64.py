"""`make arm64-tools`: what cross-building the arm64 package on an amd64 machine needs beside `make deps`.

A cross compiler and an emulator (debian-packages-arm64.txt), Rust's standard library for arm64, and the arm64 ONNX Runtime in
`assets/onnxruntime-arm64`. The arm64 libraries and headers are not installed on the machine: packaging/sysroot.py puts them into a folder.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import debian
from cache import ROOT, Cache, SetupError, link, run, say
from fetch import fetch

TARGET = "aarch64-unknown-linux-gnu"
PACKAGES = ROOT / "setup/debian-packages-arm64.txt"


def make(cache: Cache, _options: set[str]) -> None:
    """Gets what is missing, then links it into the clone."""
    if platform.machine() != "x86_64" or not debian.is_debian():
        raise SetupError("the arm64 package is cross-built on Debian for amd64 only; on an arm64 machine with Debian 12 `make deb` makes it")
    debian.install_list(PACKAGES)
    _standard_library()
    for path in fetch(cache, "onnxruntime", "aarch64").values():
        link(path, ROOT / "assets/onnxruntime-arm64" / path.name)


def _standard_library() -> None:
    """Rust's standard library for arm64, through rustup; a Rust from elsewhere may have it already."""
    try:
        asked = subprocess.run(["rustc", "--print", "target-libdir", "--target", TARGET], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise SetupError(f"cannot run rustc: {error.strerror}") from None
    if asked.returncode == 0 and any(Path(asked.stdout.strip()).glob("libstd-*.rlib")):
        return
    if not shutil.which("rustup"):
        raise SetupError(f"this Rust has no standard library for {TARGET}, and there is no rustup to get it with: https://rustup.rs")
    say(f"adding Rust's standard library for {TARGET}")
    # In the clone: its toolchain may be another than the user's usual one.
    run(["rustup", "target", "add", TARGET], ROOT)
