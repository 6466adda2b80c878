"""Raw pictures into H.264 in an MP4 file, and what is in the file."""

import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scene import FPS, HEIGHT, WIDTH, Planes

GOP = 2 * FPS
"""Pictures from key frame to key frame."""

# One thread, so that the same pictures give the same bytes everywhere.
PIPELINE = (
    f"fdsrc fd=0 blocksize={WIDTH * HEIGHT * 3 // 2} "
    f"! rawvideoparse format=i420 width={WIDTH} height={HEIGHT} framerate={FPS}/1 "
    "! x264enc tune=zerolatency speed-preset=superfast threads=1 bframes=0 b-adapt=false key-int-max={gop} {rate} "
    "option-string=scenecut=0:ref=1 ! video/x-h264,profile=main ! h264parse ! mp4mux ! filesink location={file}"
)


def encode(pictures: Iterable[Planes], rate: str, file: Path) -> None:
    """Encodes all `pictures` under the rate control `rate` (properties of x264enc)."""
    command = ["nice", "gst-launch-1.0", "--quiet", *PIPELINE.format(gop=GOP, rate=rate, file=file).split()]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        try:
            for planes in pictures:
                encoder.stdin.write(b"".join(plane.tobytes() for plane in planes))
        except BrokenPipeError:
            pass  # its own message says why
        encoder.stdin.close()
    if encoder.returncode != 0 or not file.is_file():
        raise SystemExit(f"the encoder failed (exit {encoder.returncode}); GStreamer's programs and plug-ins come with `make deps`")


def undate(file: Path) -> None:
    """Clears the dates mp4mux writes, so that the same pictures give the same file."""
    data = bytearray(file.read_bytes())
    moov = data.rindex(b"moov")
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.index(name, moov)
        if data[at + 4] != 0:  # version 1 has 64-bit dates; mp4mux writes version 0
            raise SystemExit(f"{file.name}: an MP4 header of an unknown version")
        data[at + 8 : at + 16] = bytes(8)  # after version and flags: created, modified
    file.write_bytes(data)


@dataclass(frozen=True)
class Sizes:
    """Bytes of each picture in a file, and which are key frames (from 0)."""

    pictures: list[int]
    keys: list[int]


def sizes(file: Path) -> Sizes:
    """Reads the sample table of a file with one track."""
    data = file.read_bytes()
    table = data[data.rindex(b"moov") :]
    sizes_at, keys_at = table.index(b"stsz") + 4, table.index(b"stss") + 4
    (count,) = struct.unpack_from(">I", table, sizes_at + 8)
    (keys,) = struct.unpack_from(">I", table, keys_at + 4)
    return Sizes(
        pictures=list(struct.unpack_from(f">{count}I", table, sizes_at + 12)),
        keys=[number - 1 for number in struct.unpack_from(f">{keys}I", table, keys_at + 8)],
    )
