"""What stands around the box: a camera, a broker, and somebody who listens there. All on loopback, all real."""

import json
import socket
import subprocess
from pathlib import Path

from service import wait_for

WITHIN = 30


class Camera:
    """Plays a clip over RTSP for ever."""

    def __init__(self, program: Path, clip: Path, mount: str) -> None:
        self.port = free_port()
        self._process = subprocess.Popen([program, "--port", str(self.port), "--mount", mount, clip], stdout=subprocess.DEVNULL)
        wait_for("the camera", lambda: _answers(self.port), WITHIN)

    def stop(self) -> None:
        """Takes it away."""
        _end(self._process)


class Broker:
    """A mosquitto that forgets everything when it stops."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\nmax_queued_messages 0\n")
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._process = subprocess.Popen(["mosquitto", "-c", self._configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the broker", lambda: _answers(self.port), WITHIN)

    def retained(self, topic: str) -> dict | None:
        """What it keeps under a topic, if anything."""
        said = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-C", "1", "-W", "2", "-F", "%p"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        return json.loads(said) if said else None

    def stop(self) -> None:
        """Stops it."""
        if self._process:
            _end(self._process)


class GridSystem:
    """Hears every incident event at the broker, from when it was made."""

    def __init__(self, broker: Broker, heard: Path) -> None:
        self._heard = heard
        # `-d` says when the subscription is in force; what is heard is JSON and stands on lines of its own.
        command = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1",
                   "-t", "snowgate/v1/+/incident/#", "-F", "%p"]
        with heard.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        wait_for("the subscription", lambda: "Subscribed" in heard.read_text(errors="replace"), WITHIN)

    def events(self) -> list[dict]:
        """Everything heard so far, in order."""
        # A line that is still being written has no end yet.
        lines = self._heard.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stop(self) -> None:
        """Listens no longer."""
        _end(self._process)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait(timeout=WITHIN)
