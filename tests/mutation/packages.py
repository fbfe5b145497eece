"""Which code is mutated, and by which tests its mutants must be noticed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """Code without I/O, and its tests.

    :param files: patterns of its files, below ``airflow_provider_pgclone/core``.
    :param tests: the folder of its tests, below ``tests/core``.
    :param has_server: whether the tests that need a PostgreSQL server take part. Each mutant starts
        one of its own, so this is for what only a server can judge. It takes part only if it is
        named.
    :param sample: how many mutants are tried where the number is not given; ``None`` for all.
    """

    files: tuple[str, ...]
    tests: str
    has_server: bool = False
    sample: int | None = None


_MAKE_SQL = ("builders", "digits", "expressions", "json_paths")
PACKAGES = {
    "archive": Package(("archive/*.py",), "archive", sample=150),
    "catalog": Package(("catalog/patterns.py",), "catalog"),
    "repository": Package(("repository/keys.py", "repository/retention.py"), "repository"),
    "scheduling": Package(("scheduling/*.py",), "scheduling"),
    "executing": Package(("executing/messages.py", "executing/own_lines.py"), "executing"),
    "masking": Package(
        ("masking/rules/key.py", "masking/rules/language.py"), "masking/rules", sample=150
    ),
    "masking-sql": Package(
        tuple(f"masking/rules/{name}.py" for name in _MAKE_SQL), "masking/rules", has_server=True
    ),
    "reading": Package(("reading/page_ranges.py",), "reading"),
}
