"""The fenced blocks of the documentation, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Pages whose examples are checked, in this order.
FILES = (
    "README.md",
    "CONTRIBUTING.md",
    "infra/README.md",
    *(f"docs/{file.name}" for file in sorted(ROOT.glob("docs/*.md"))),
)
COMMANDS = ("console", "bash", "sh", "shell")
#: Not examples to be run: drawings and outlines, queries of Log Analytics, scripts inside ServiceNow,
#: fragments of Bicep.
OTHERS = ("", "text", "kusto", "javascript", "bicep")
_FENCE = re.compile(r"(\s*)```\s*(\w*)")
_LOOKS_LIKE_A_COMMAND = re.compile(r"\s*(?:\$ )?(?:\.venv/|python |curl |az |func |make |export |git )")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``line`` is the line of its fence, counted from 1; ``before`` is the block above it."""

    file: str
    line: int
    language: str
    text: str
    before: Block | None = None

    @property
    def place(self) -> str:
        """How messages and test ids name it."""
        return f"{self.file}:{self.line}"


def blocks_of(file: str, text: str) -> list[Block]:
    """All fenced blocks of a page.

    Raises:
        ValueError: a fence is not closed.
    """
    found: list[Block] = []
    opened: tuple[int, str, str] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.fullmatch(line.rstrip())
        if opened is None and fence:
            opened, body = (number, fence[2], fence[1]), []
        elif opened is not None and fence and not fence[2]:
            content = "\n".join(one.removeprefix(opened[2]) for one in body)
            found.append(Block(file, opened[0], opened[1], content, found[-1] if found else None))
            opened = None
        elif opened is not None:
            body.append(line)
    if opened is not None:
        raise ValueError(f"{file}:{opened[0]}: the block is not closed")
    return found


def all_blocks() -> list[Block]:
    """Every block of every page that is checked."""
    return [block for file in FILES for block in blocks_of(file, (ROOT / file).read_text("utf-8"))]


def commands_of(block: Block) -> list[str]:
    """The commands of a block: lines that belong together by a quote or a backslash are one, comments are left out.

    Raises:
        ValueError: a quote is not closed.
    """
    found: list[str] = []
    gathered = ""
    for line in block.text.splitlines():
        gathered = f"{gathered}\n{line}" if gathered else line
        if line.endswith("\\"):
            continue
        try:
            words = shlex.split(gathered, comments=True)
        except ValueError:
            continue
        if words:
            found.append(gathered.strip())
        gathered = ""
    if gathered:
        raise ValueError(f"{block.place}: a quote of the command is not closed: {gathered}")
    return found


def hides_commands(block: Block) -> bool:
    """Whether a block without a language has commands, which nobody would run."""
    return block.language in ("", "text") and any(map(_LOOKS_LIKE_A_COMMAND.match, block.text.splitlines()))
