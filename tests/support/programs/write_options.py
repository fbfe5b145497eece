"""Writes what the options mean into docstrings and the documentation, from their declarations.

``python -m tests.support.programs.write_options`` renews the ``:param`` lines of the operators and
of the hook, and the table of options. A test fails while they differ from the declarations.
"""

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from airflow_provider_pgclone.options import BY_NAME, OPTIONS, VERBS, Option, Verb
from tests.support import REPOSITORY

PACKAGE = REPOSITORY / "airflow_provider_pgclone"
# The page with the table is the one of these that has the marks.
PAGES = (REPOSITORY / "docs" / "reference" / "options.md", REPOSITORY / "README.md")
START, END = "<!-- options -->\n", "<!-- /options -->"
WIDTH = 100
_PARAM = re.compile(r"^( *):param (\w+):.*\n(?:\1    .*\n)*", re.MULTILINE)


def main() -> None:
    for path, text in written().items():
        path.write_text(text)


def written() -> dict[Path, str]:
    """Return the files that tell of options, as they have to be."""
    sources = [*sorted((PACKAGE / "operators").glob("*.py")), PACKAGE / "hooks" / "pgclone.py"]
    files = {path: with_params(path.read_text()) for path in sources}
    (page,) = (path for path in PAGES if path.exists() and START in path.read_text())
    before, _, rest = page.read_text().partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page} has no {END}")
    files[page] = f"{before}{START}{options_table()}\n{END}{after}"
    return files


def options_table() -> str:
    """Return the options as a Markdown table."""
    rows = [
        f"| `{option.name}` | {_shown(option.verbs)} "
        f"| {'' if option.instead else option.shown_default} | {option.help} |"
        for option in OPTIONS
    ]
    return "\n".join(["| Option | Verbs | Default | Meaning |", "|---|---|---|---|", *rows])


def _shown(verbs: Sequence[Verb]) -> str:
    return "all" if set(verbs) == set(VERBS) else ", ".join(verbs)


def with_params(source: str) -> str:
    """Return a module whose classes describe the arguments of their ``__init__``.

    What is said of arguments that are not options stays as it is.
    """
    for node in _classes(source):
        docstring = ast.get_docstring(node, clean=False)
        init = next((one for one in node.body if _is_init(one)), None)
        if docstring is None or not isinstance(init, ast.FunctionDef):
            continue
        given = [*init.args.args[1:], *init.args.kwonlyargs]
        new = _described(docstring, [argument.arg for argument in given])
        source = source.replace(f'"""{docstring}"""', f'"""{new}"""', 1)
    return source


def param(name: str, option: Option) -> str:
    """Return the line of an option in a docstring."""
    words = option.help if option.instead else f"{option.help} Default: {option.shown_default}."
    text = f"{words[0].lower()}{words[1:]}".replace("`", "``")
    line = textwrap.fill(
        f":param {name}: {text}",
        WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{line}\n"


def _described(docstring: str, names: list[str]) -> str:
    """Return a docstring that has a line for each argument."""
    by_hand: Mapping[str, str] = {found[2]: found[0] for found in _PARAM.finditer(docstring)}
    missing = [name for name in names if name not in BY_NAME and name not in by_hand]
    if missing:
        raise ValueError(f"nothing is said of the arguments {missing}")
    lines = [param(name, BY_NAME[name]) if name in BY_NAME else by_hand[name] for name in names]
    start = min(found.start() for found in _PARAM.finditer(docstring))
    rest = _PARAM.sub("", docstring[start:])
    return f"{docstring[:start]}{''.join(lines)}{rest}"


def _classes(source: str) -> Iterator[ast.ClassDef]:
    return (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))


def _is_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


if __name__ == "__main__":
    main()
