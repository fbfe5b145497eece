"""The pages of the documentation, and the examples in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
PAGES = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "SECURITY.md",
    *sorted(path for path in (REPOSITORY / "docs").rglob("*.md") if "_build" not in path.parts),
]
# A fence may be indented, as within a list; what it holds is then indented as well.
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# Also one within a code span: neither GitHub nor Sphinx takes it for code.
_BORDER = re.compile(r"(?<!\\)\|")
_LINK = re.compile(r"(?<!`)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Example:
    """A block of code on a page.

    :param line: where it starts, from 1 on.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def examples(page: Path, language: str) -> list[Example]:
    """Return the blocks of a page that are in a language."""
    return [example for example in _blocks(page) if example.language == language]


def _blocks(page: Path) -> Iterator[Example]:
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        indent, language, code = found.groups()
        lines = [line.removeprefix(indent) for line in code.splitlines(keepends=True)]
        yield Example(page, text.count("\n", 0, found.start(3)) + 1, language, "".join(lines))


def links(page: Path) -> list[str]:
    """Return the targets of the links and pictures of a page that lead to files."""
    return [
        target.partition("#")[0]
        for target in _LINK.findall(page.read_text())
        if "://" not in target and not target.startswith("#")
    ]


def tables(page: Path) -> list[list[tuple[int, int]]]:
    """Return the tables of a page: of each line its number, from 1 on, and how many cells it has.

    A table goes on until an empty line or a comment, so it also has a line that broke off another.
    """
    found: list[list[tuple[int, int]]] = []
    is_code = is_table = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        starts = not is_table and line.lstrip().startswith("|")
        ends = is_code or not line.strip() or line.startswith("<!--")
        is_table = (is_table or starts) and not ends
        if is_table:
            if starts:
                found.append([])
            found[-1].append((number, len(_BORDER.findall(line)) - 1))
    return found
