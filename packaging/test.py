"""`make test-deb`: the package on a fresh Debian 12, from installing it to purging it.

In between the daemon runs there as its unit says, sees people in front of a camera, and tells a broker of them; the package is
upgraded while incidents wait, and nothing of them is lost or told twice. Needs root, but no systemd.
"""

import argparse
import hashlib
import json
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import deb
from debian_root import DebianRoot, TestError, enter_namespaces
from deb import DebError
from first_hour import FirstHour
from outside import Broker, Camera, GridSystem
from service import APPLIED, NOT_APPLIED, Service, wait_for

ROOT = Path(__file__).resolve().parent.parent

PATHS = {
    "/usr/bin/snowgate": (0o755, "root", "root"),
    "/usr/lib/snowgate/libonnxruntime.so.1.31.1": (0o644, "root", "root"),
    "/usr/share/snowgate/models/ssdlite-mobilenet-v2.onnx": (0o644, "root", "root"),
    "/usr/share/snowgate/models/scene/efficientnet-lite0.toml": (0o644, "root", "root"),
    "/usr/share/snowgate/schema/gateway.schema.json": (0o644, "root", "root"),
    "/usr/share/snowgate/drop-ins/serial.conf": (0o644, "root", "root"),
    "/usr/share/snowgate/drop-ins/dri.conf": (0o644, "root", "root"),
    "/lib/systemd/system/snowgate.service": (0o644, "root", "root"),
    "/usr/share/man/man1/snowgate.1.gz": (0o644, "root", "root"),
    "/usr/share/man/man1/snowgate-run.1.gz": (0o644, "root", "root"),
    "/usr/share/bash-completion/completions/snowgate": (0o644, "root", "root"),
    "/usr/share/zsh/vendor-completions/_snowgate": (0o644, "root", "root"),
    "/usr/share/fish/vendor_completions.d/snowgate.fish": (0o644, "root", "root"),
    "/usr/share/doc/snowgate/copyright": (0o644, "root", "root"),
    "/usr/share/doc/snowgate/OPERATING.zh.md": (0o644, "root", "root"),
    "/etc/snowgate": (0o750, "root", "snowgate"),
    "/etc/snowgate/categories.toml": (0o644, "root", "root"),
    "/etc/snowgate/secrets": (0o750, "root", "snowgate"),
    "/var/lib/snowgate": (0o700, "snowgate", "snowgate"),
}
"""Mode, owner and group of what must be there after installing."""

EXAMPLE = "/usr/share/doc/snowgate/examples/example"
CATEGORIES = "/etc/snowgate/categories.toml"
OPERATORS_LINE = "# changed by the operator\n"
SECRET = "/etc/snowgate/secrets/gate-password"
GATHERED = 20
"""So many unsent incident events are a full store, for this test."""


def main() -> int:
    """Plays it; the first thing that does not hold ends it."""
    parser = argparse.ArgumentParser(prog="packaging/test.py", description="Tries the Debian package on a fresh Debian.")
    parser.add_argument("--programs", type=Path, default=ROOT / "target/release", help="where snowgate and camera were built")
    parser.add_argument("--work", type=Path, default=ROOT / "target/test-deb", help="what is kept between runs, and logs")
    options = parser.parse_args()
    programs, work = options.programs.absolute(), options.work.absolute()
    try:
        enter_namespaces()
        work.mkdir(parents=True, exist_ok=True)
        first, second = _packages(programs / "snowgate", work)
        with ExitStack() as stack:
            debian = DebianRoot(work)
            stack.callback(debian.unmount)
            Story(debian, stack, programs / "camera", first, second).play()
    except (TestError, DebError) as error:
        print(f"make test-deb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make test-deb: interrupted", file=sys.stderr)
        return 130
    return 0


def _packages(program: Path, work: Path) -> tuple[Path, Path]:
    """The package, and the same once more under a higher version."""
    version = deb.version()
    first = deb.build(program, work / "first", version)
    again = deb.build(program, work / "again", version)
    if _digest(first) != _digest(again):
        raise TestError(f"two builds of {first.name} are not the same, byte for byte")
    print(f"  built {first.name}, {first.stat().st_size / 1e6:.1f} MB, twice: the same bytes", flush=True)
    return first, deb.build(program, work / "higher", f"{version}+higher")


class Story:
    """The life of one installation."""

    ready_within = 120
    """Seconds from the daemon's start."""

    def __init__(self, debian: DebianRoot, stack: ExitStack, camera: Path, first: Path, second: Path) -> None:
        self.debian, self.stack, self.first, self.second = debian, stack, first, second
        self.camera_program, self.work = camera, debian.work
        self.log = self.work / "snowgate.log"
        self.log.unlink(missing_ok=True)
        self.broker = Broker(self.work)
        self.data = debian.at("/var/lib/snowgate")

    def play(self) -> None:
        """All of it, in order."""
        chapters: list[Callable[[], str]] = [
            self.installs, self.files_are_as_they_should_be, self.example_and_models_work, self.first_hour,
            self.first_incident, self.incidents_gather_without_a_broker, self.upgrades, self.everything_arrives_once,
            self.newer_store_is_refused, self.removed_it_keeps_what_is_the_operators, self.purged_it_leaves_nothing]
        self.tell(chapters)
        print("restrictions of the unit that were applied to the daemon:\n  " + APPLIED.replace("\n", "\n  "))
        print("not applied, for there is no systemd:\n  " + NOT_APPLIED.replace("\n", "\n  "))
        print("make test-deb: everything holds")

    def tell(self, chapters: list[Callable[[], str]]) -> None:
        """One after the other, and what each has to say."""
        for chapter in chapters:
            started = time.monotonic()
            said = chapter()
            print(f"  {chapter.__name__.replace('_', ' ')}: {said} ({time.monotonic() - started:.0f} s)", flush=True)

    def installs(self) -> str:
        self.camera = Camera(self.camera_program, ROOT / "assets/media/vtest.mp4", "/walkers")
        self.stack.callback(self.camera.stop)
        self.hour = FirstHour(ROOT, self.debian, {
            "./snowgate_VERSION_amd64.deb": self.debian.take(self.first),
            "192.168.1.20:554/stream1": f"127.0.0.1:{self.camera.port}/walkers",
            "192.168.1.5:1883": f"127.0.0.1:{self.broker.port}",
        })
        self.hour.do("apt", "install")
        self._expect_version(self.first)
        postinst = "/var/lib/dpkg/info/snowgate.postinst"
        # As dpkg calls it.
        self.debian.run("env", "DPKG_MAINTSCRIPT_PACKAGE=snowgate", postinst, "configure", "")
        self._expect_state("snowgate.service", "enabled")
        return "with its dependencies; the unit is enabled; postinst ran a second time"

    def files_are_as_they_should_be(self) -> str:
        for place, wanted in PATHS.items():
            found = self._found(place)
            if found != wanted:
                raise TestError(f"{place} is {found}, not {wanted}")
        if said := self.debian.run("dpkg", "--verify", "snowgate").stdout:
            raise TestError(f"dpkg --verify: {said}")
        conffiles = self.debian.run("dpkg-query", "--show", "--showformat", "${Conffiles}", "snowgate").stdout.split()
        if conffiles[::2] != [CATEGORIES]:
            raise TestError(f"conffiles are {conffiles}")
        unowned = self.debian.run("find", "/usr/share/snowgate", "/usr/lib/snowgate", "/usr/share/doc/snowgate", "-not", "-user", "root").stdout
        if unowned:
            raise TestError(f"these do not belong to root: {unowned}")
        # groff and shells are not in a small Debian; these are on every machine that builds.
        self.debian.run("gzip", "-t", *(place for place in PATHS if place.endswith(".gz")))
        self.debian.run("bash", "-n", "/usr/share/bash-completion/completions/snowgate")
        return f"{len(PATHS)} paths with owner and mode, {CATEGORIES} a conffile"

    def example_and_models_work(self) -> str:
        checked = self._as_user("snowgate", "check", "--config", EXAMPLE)
        verified = self._as_user("snowgate", "models", "verify", "--format", "json")
        # ONNX Runtime speaks first of a processor that it does not know, on the other stream.
        models = json.loads(verified[verified.find("[\n"):])
        files = [file for model in models for file in model["files"]]
        if len(models) < 4 or not all(file["works"] for file in files):
            raise TestError(f"snowgate models verify: {verified}")
        return f"{_verdict(checked)}; {len(files)} files of {len(models)} models work"

    def first_hour(self) -> str:
        probed = self.hour.do("snowgate", "camera", "probe")
        self.broker.start()
        self.stack.callback(self.broker.stop)
        self.hour.do("snowgate", "init")
        self.hour.do("runuser", "-u", "snowgate", "--", "snowgate", "camera", "still")
        if not self.debian.at("/tmp/gate.jpg").read_bytes().startswith(b"\xff\xd8\xff"):
            raise TestError("snowgate camera still made no JPEG")
        # What an operator does with an editor.
        _, file = self.hour.next("editor")
        camera = self.debian.at(file)
        camera.write_text(camera.read_text().replace("[0.0, 0.3], [1.0, 0.3]", "[0.0, 0.2], [1.0, 0.2]"))
        checked = self.hour.do("runuser", "-u", "snowgate", "--", "snowgate", "check")
        self.grid = GridSystem(self.broker, self.work / "heard-before.jsonl")
        self.hour.next("systemctl", "start", "snowgate")
        self._start()
        status = self.service.status()
        user = [line.split(":") for line in self.debian.at("/etc/passwd").read_text().splitlines() if line.startswith("snowgate:")][0]
        wanted = {"Uid": "\t".join([user[2]] * 4), "NoNewPrivs": "1", "Umask": "0077"} | {
            key: "0" * 16 for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        if wrong := {key: status.get(key) for key, value in wanted.items() if status.get(key) != value}:
            raise TestError(f"the process is {wrong}, not {wanted}")
        return f"{probed.splitlines()[0]}; {_verdict(checked)}; ready, and it feeds the watchdog"

    def first_incident(self) -> str:
        event = json.loads(self.hour.do("mosquitto_sub"))
        if not self.hour.is_over():
            raise TestError("the guide's first hour goes on after the first incident")
        self.service.stop()
        self.before = self.grid.events()
        self.grid.stop()
        self.broker.stop()
        return f"{event['data']['title']}, after {self.hour.count} commands; {len(self.before)} events by the time it had stopped"

    def incidents_gather_without_a_broker(self) -> str:
        self._add_camera()
        self._start()
        wait_for(f"{GATHERED} unsent events", lambda: self._waiting() >= GATHERED, 240, self.service.ensure_running)
        self.service.stop()
        # From here on nothing new happens: what arrives later is what waits now.
        self.camera.stop()
        with closing(sqlite3.connect(f"file:{self.data}/store.sqlite?mode=ro", uri=True)) as store:
            rows = store.execute("SELECT payload FROM outbox WHERE topic LIKE '%/incident/%'").fetchall()
        self.unsent = {json.loads(payload)["id"] for (payload,) in rows}
        return f"{len(self.unsent)} events wait"

    def upgrades(self) -> str:
        categories = self.debian.at(CATEGORIES)
        categories.write_text(categories.read_text() + OPERATORS_LINE)
        secret = self.debian.at(SECRET)
        secret.write_text("secret\n")
        self.debian.run("chown", "snowgate:", SECRET)
        secret.chmod(0o600)
        self.debian.run("systemctl", "disable", "snowgate.service")
        self._install(self.second)
        if not categories.read_text().endswith(OPERATORS_LINE):
            raise TestError(f"the upgrade replaced {CATEGORIES}")
        if (found := self._found(SECRET)) != (0o600, "snowgate", "snowgate"):
            raise TestError(f"{SECRET} is {found} after the upgrade")
        self._expect_state("snowgate.service", "disabled")
        return "the operator's file and the secret are kept, what was disabled stays so"

    def everything_arrives_once(self) -> str:
        self.broker.start()
        grid = GridSystem(self.broker, self.work / "heard-after.jsonl")
        self.stack.callback(grid.stop)
        self._start()
        wait_for("an empty outbox", lambda: self._waiting() == 0, 120, self.service.ensure_running)
        self.service.stop()
        after = wait_for("all that waited", lambda: self._complete(grid), 30)
        counted = Counter(event["id"] for event in self.before + after)
        if twice := [event for event, times in counted.items() if times > 1]:
            raise TestError(f"these arrived more than once: {twice}")
        numbers = sorted(event["data"]["sequence"] for event in self.before + after)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise TestError(f"there are holes in the sequence: {numbers}")
        return f"{len(after)} events, the {len(self.unsent)} that waited among them; {len(numbers)} in all, each once, no hole"

    def newer_store_is_refused(self) -> str:
        newer = self.data / "newer"
        shutil.copytree(self.data, newer, symlinks=True, ignore=shutil.ignore_patterns("newer"))
        with closing(sqlite3.connect(newer / "store.sqlite")) as store, store:
            # The format stands in two places; a newer version writes both.
            store.execute("UPDATE meta SET value = 99, inverse = ~99 WHERE key = 'format'")
            store.execute("PRAGMA user_version = 99")
        self.debian.run("chown", "-R", "snowgate:", "/var/lib/snowgate/newer")
        log = self.work / "newer.log"
        log.unlink(missing_ok=True)
        refused = Service(self.debian, log, "--data", "/var/lib/snowgate/newer")
        self.stack.callback(refused.kill)
        code = refused.wait()
        said = [line for line in log.read_text().splitlines() if "written by a newer version" in line]
        if code != 69 or not said:
            raise TestError(f"a store of a newer version: exit {code}, and\n{log.read_text()}")
        with closing(sqlite3.connect(newer / "store.sqlite")) as store:
            if store.execute("PRAGMA user_version").fetchone() != (99,):
                raise TestError("the store of a newer version was touched")
        shutil.rmtree(newer)
        return f"exit {code}, {said[0].split('ERROR', 1)[-1].strip()}"

    def removed_it_keeps_what_is_the_operators(self) -> str:
        self.debian.run("apt-get", "-q", "-y", "remove", "snowgate")
        kept = [CATEGORIES, SECRET, "/etc/snowgate/gateway.toml", "/var/lib/snowgate/store.sqlite"]
        if lost := [place for place in kept if not self.debian.at(place).exists()]:
            raise TestError(f"removing took {lost}")
        gone = ["/usr/bin/snowgate", "/usr/lib/snowgate", "/usr/share/snowgate", "/lib/systemd/system/snowgate.service"]
        if left := [place for place in gone if self.debian.at(place).exists()]:
            raise TestError(f"removing left {left}")
        self.debian.run("getent", "passwd", "snowgate")
        return "configuration, secrets, store and user"

    def purged_it_leaves_nothing(self) -> str:
        self.debian.run("apt-get", "-q", "-y", "purge", "snowgate")
        shutil.rmtree(self.debian.at("/tmp"))
        left = self.debian.run("find", "/", "-xdev", "-iname", "*snowgate*").stdout.split()
        if left:
            raise TestError(f"purging left {left}")
        for kind in ("passwd", "group", "shadow", "gshadow"):
            if "snowgate" in self.debian.at(f"/etc/{kind}").read_text():
                raise TestError(f"purging left snowgate in /etc/{kind}")
        if orphans := self.debian.run("find", "/", "-xdev", "(", "-nouser", "-o", "-nogroup", ")").stdout:
            raise TestError(f"purging left files of nobody: {orphans}")
        return "no file of that name, no file of nobody, no user, no group"

    def _install(self, package: Path) -> None:
        self.debian.run("apt-get", "-q", "-y", "install", self.debian.take(package))
        self._expect_version(package)

    def _expect_version(self, package: Path) -> None:
        installed = self.debian.run("dpkg-query", "--show", "--showformat", "${Version} ${db:Status-Status}", "snowgate").stdout
        if installed != f"{package.name.split('_')[1]} installed":
            raise TestError(f"dpkg says of {package.name}: {installed}")

    def _add_camera(self) -> None:
        """The demo's square: the same camera once more, with rules that have more to tell."""
        walkers = (ROOT / "configs/demo/cameras.d/walkers.toml").read_text()
        walkers = walkers.replace("127.0.0.1:18554", f"127.0.0.1:{self.camera.port}")
        self.debian.at("/etc/snowgate/cameras.d/walkers.toml").write_text(walkers)

    def _start(self) -> None:
        self.service = Service(self.debian, self.log)
        self.stack.callback(self.service.kill)
        self.service.wait_ready(self.ready_within)

    def _as_user(self, *command: str) -> str:
        return self.debian.run("setpriv", "--reuid=snowgate", "--regid=snowgate", "--init-groups", *command).stdout

    def _waiting(self) -> int:
        classes = json.loads(self._as_user("snowgate", "outbox", "status", "--format", "json"))
        return next(line["messages"] for line in classes if line["class"] == "incident")

    def _complete(self, grid: GridSystem) -> list[dict]:
        events = grid.events()
        return events if self.unsent <= {event["id"] for event in events} else []

    def _found(self, place: str) -> tuple[int, str, str] | None:
        said = self.debian.run("stat", "--format", "%a %U %G", place, check=False).stdout.split()
        return (int(said[0], 8), said[1], said[2]) if len(said) == 3 else None

    def _expect_state(self, unit: str, wanted: str) -> None:
        state = self.debian.run("systemctl", "is-enabled", unit, check=False).stdout.strip()
        if state != wanted:
            raise TestError(f"{unit} is {state}, not {wanted}")


def _verdict(checked: str) -> str:
    """What `snowgate check` says of a directory as a whole."""
    return next(line for line in checked.splitlines() if line.startswith("/"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
