"""Which code is mutated, and by which tests its mutants must be noticed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """Code without I/O, and its tests.

    :param files: patterns of its files, below ``airflow_provider_pgclone/core``.
    :param tests: the folder of its tests, below ``tests/core``.
    :param has_server: whether the tests that need a PostgreSQL server take part. Each mutant starts
        one of its own, so this is for what only a server can judge.
    """

    files: tuple[str, ...]
    tests: str
    has_server: bool = False


_MAKE_SQL = ("builders", "digits", "expressions", "json_paths")
PACKAGES = {
    "archive": Package(("archive/*.py",), "archive"),
    "catalog": Package(("catalog/patterns.py",), "catalog"),
    "repository": Package(("repository/keys.py", "repository/retention.py"), "repository"),
    "loading": Package(("loading/schedule.py", "loading/messages.py"), "loading"),
    "masking": Package(("masking/rules/key.py", "masking/rules/language.py"), "masking/rules"),
    "masking-sql": Package(
        tuple(f"masking/rules/{name}.py" for name in _MAKE_SQL), "masking/rules", has_server=True
    ),
    "reading": Package(("reading/page_ranges.py",), "reading"),
}
