"""The first hour with a new box, as docs/OPERATING.md has it: its commands, one after the other, from the package to the first incident."""

import shlex
from pathlib import Path

from debian_root import DebianRoot, TestError

GUIDES = ["docs/OPERATING.md", "docs/OPERATING.zh.md"]
HEADINGS = ["## The first hour", "## 第一个小时"]
FEWER_THAN = 10


class FirstHour:
    """The commands, read out of the guide; what is an example there is exchanged for what is here."""

    def __init__(self, root: Path, debian: DebianRoot, exchange: dict[str, str]) -> None:
        self._debian = debian
        blocks = [_block(root / guide, heading) for guide, heading in zip(GUIDES, HEADINGS)]
        if blocks[0] != blocks[1]:
            raise TestError(f"the commands of the first hour differ between {' and '.join(GUIDES)}")
        if len(blocks[0]) >= FEWER_THAN:
            raise TestError(f"the first hour has {len(blocks[0])} commands, and should have fewer than {FEWER_THAN}")
        self._left = [_exchanged(command, exchange) for command in blocks[0]]
        self.count = len(self._left)

    def next(self, *begins: str) -> list[str]:
        """The next command, which must begin so, without doing it."""
        command = self._left.pop(0)
        if command[:len(begins)] != list(begins):
            raise TestError(f"the guide says {shlex.join(command)} where {shlex.join(begins)} was expected")
        return command

    def do(self, *begins: str) -> str:
        """Does the next command, which must begin so; what it said."""
        return self._debian.run(*self.next(*begins)).stdout

    def is_over(self) -> bool:
        """Whether all of them were done."""
        return not self._left


def _block(guide: Path, heading: str) -> list[list[str]]:
    """The commands of the first fenced block below a heading. A backslash at its end goes on with the line."""
    _, found, text = guide.read_text().partition(f"\n{heading}\n")
    if not found:
        raise TestError(f"{guide} has no {heading!r}")
    lines = text.split("```")[1].partition("\n")[2].replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := shlex.split(line, comments=True))]


def _exchanged(command: list[str], exchange: dict[str, str]) -> list[str]:
    for example, here in exchange.items():
        command = [word.replace(example, here) for word in command]
    return command
