"""`python3 setup deps|models|media|scale-media|blur|arm64`: what the Makefile targets of the same names run."""

import sys

if sys.version_info < (3, 11):
    sys.exit("setup: Python 3.11 or newer is needed (tomllib); this is " + sys.version.split()[0])

import arm64
import blur
import debian
import fetch
import media
import models
import scale
from cache import Cache, SetupError

STEPS = {
    "deps": [debian.install, fetch.link_runtime],
    "models": [models.make],
    "media": [media.make],
    "scale-media": [scale.make],
    "blur": [blur.make],
    "arm64": [arm64.make],
}


def main(arguments: list[str]) -> int:
    """Runs one step under the cache's lock; every foreseen failure is one plain message."""
    options = {argument for argument in arguments[1:] if argument.startswith("--")}
    if not arguments or arguments[0] not in STEPS or options != set(arguments[1:]):
        print(f"usage: python3 setup {'|'.join(STEPS)}", file=sys.stderr)
        return 64
    if options - ({"--repin"} if arguments[0] == "models" else set()):
        print(f"setup: unknown option {', '.join(sorted(options))}", file=sys.stderr)
        return 64
    try:
        with Cache.open() as cache:
            for step in STEPS[arguments[0]]:
                step(cache, options)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; nothing half-made was kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
