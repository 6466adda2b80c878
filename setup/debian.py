"""The first half of `make deps`: the Debian packages of `debian-packages.txt`, or what stands for them elsewhere.

`arm64.py` installs those of a list of its own in the same way.
"""

import os
import shutil
import subprocess
from pathlib import Path

from cache import ROOT, Cache, SetupError, say
from fetch import as_root

LIST = ROOT / "setup/debian-packages.txt"

UNITS = Path("/etc/systemd/system")

SERVERS = ["mosquitto", "prometheus"]
"""Debian starts them as soon as they are installed. Nobody asked for one here: tests start their own broker, and only need Prometheus' tool."""

ELSEWHERE = """This is not a Debian system, so nothing is installed here. What is needed:
  - a C compiler, pkg-config, OpenSSL's headers and its program
  - GStreamer 1.22 or newer with headers (core, app, video, RTSP, RTSP server), gst-launch-1.0 and gst-inspect-1.0
  - its plug-ins base, good, bad, ugly and libav
  - the mosquitto broker, and promtool of Prometheus
  - Python 3.11 or newer with venv
setup/debian-packages.txt says what each is for."""

MODULES = ["gstreamer-1.0 >= 1.22", "gstreamer-app-1.0", "gstreamer-video-1.0", "gstreamer-rtsp-1.0", "gstreamer-rtsp-server-1.0", "openssl"]
PROGRAMS = ["cc", "pkg-config", "gst-launch-1.0", "gst-inspect-1.0", "openssl", "mosquitto", "promtool"]
ELEMENTS = ["videoconvert", "videorate", "rtspsrc", "rtph264depay", "mp4mux", "avidemux", "h264parse", "h265parse",
            "x264enc", "x265enc", "avdec_h264", "avdec_h265", "avdec_msmpeg4"]


def install(_cache: Cache, _options: set[str]) -> None:
    """Installs what is missing; does nothing, and asks nobody, when nothing is."""
    if is_debian():
        install_list(LIST)
    else:
        _look_elsewhere()


def is_debian() -> bool:
    """Whether packages can be installed here."""
    return Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def install_list(listed: Path) -> None:
    """Installs what is missing of a list."""
    missing = _missing(wanted(listed))
    if not missing:
        return
    say(f"installing Debian packages: {' '.join(missing)}")
    # Names the variables to env: sudo hands none through.
    apt = [*as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    if subprocess.run([*apt, "update"]).returncode != 0:
        say("apt-get update failed; going on with the lists that are there")
    for server in SERVERS:
        if server in missing:
            _mask(server)
    _call([*apt, "install", "--no-install-recommends", *missing])
    if still := _missing(missing):
        raise SetupError(f"apt-get ended well, and yet these are not installed: {' '.join(still)}")


def wanted(listed: Path) -> list[str]:
    """The packages of a list."""
    lines = (line.partition("#")[0].strip() for line in listed.read_text().splitlines())
    return [line for line in lines if line]


def _missing(packages: list[str]) -> list[str]:
    """Those that are not installed."""
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${binary:Package}\n", *packages],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # unknown ones: exit 1, and said on stderr
    present = set()
    for line in query.stdout.splitlines():
        status, _, name = line.partition(" ")
        if status == "installed":
            present.add(name.partition(":")[0])
    return [package for package in packages if package not in present]


def _mask(server: str) -> None:
    """Keeps a server from being started when it is installed."""
    unit = UNITS / f"{server}.service"
    if os.path.lexists(unit):
        return
    say(f"the {server} system service stays off; to use it: systemctl unmask --now {server}")
    _call([*as_root(), "mkdir", "-p", str(unit.parent)])
    _call([*as_root(), "ln", "-s", "/dev/null", str(unit)])


def _call(command: list) -> None:
    """Runs a program whose output the person wants to see."""
    done = subprocess.run(command)
    if done.returncode != 0:
        raise SetupError(f"this failed (exit {done.returncode}): {' '.join(map(str, command))}")


def _look_elsewhere() -> None:
    """On another system: goes on when all is there, else says what is needed and what was not found."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    if "pkg-config" not in absent:
        absent += [module for module in MODULES if not _succeeds("pkg-config", "--exists", module)]
    if "gst-inspect-1.0" not in absent:
        absent += [element for element in ELEMENTS if not _succeeds("gst-inspect-1.0", "--exists", element)]
    if absent:
        raise SetupError(f"{ELSEWHERE}\nNot found: {', '.join(absent)}")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
