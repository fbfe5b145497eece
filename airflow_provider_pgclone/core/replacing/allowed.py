"""Which databases a setting allows to be replaced or made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.core.postgres import Session
from airflow_provider_pgclone.core.replacing.marker import read_markers

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class AllowedTargets:
    """The databases that may be replaced or made, as each source of settings has it.

    :param patterns: patterns of names in the syntax of fnmatch, by the label of the source that
        sets them. A database is allowed if each source has a pattern for it; without a source all
        are.
    """

    patterns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def allow(self, name: str) -> bool:
        """Tell whether each source allows a database."""
        return all(_matches(name, patterns) for patterns in self.patterns.values())

    def check(self, name: str) -> None:
        """Refuse a database, before anything is done for it.

        :raises NotAllowedError: naming the database and the source that does not allow it.
        """
        for source, patterns in self.patterns.items():
            if not _matches(name, patterns):
                allowed = f"only {', '.join(patterns)}" if patterns else "no database"
                raise NotAllowedError(
                    f"database {name!r} may not be replaced or made: {source} sets restore_over "
                    f"to {list(patterns)}",
                    hint=f"It allows {allowed}.",
                )


def usable_targets(
    session: Session, allowed: AllowedTargets, *, maintenance: str, create: bool
) -> list[str]:
    """Return the databases that may be replaced now, and those to be made that are named in full.

    :param maintenance: the maintenance database, which cannot be replaced.
    :param create: whether databases may be made.
    :raises InvalidInputError: when no database can be allowed by all sources.
    """
    rows = session.execute("SELECT datname, datistemplate FROM pg_database").fetchall()
    refused = {name for name, is_template in rows if is_template}
    refused |= {maintenance, *read_markers(session)}
    named = {name for patterns in allowed.patterns.values() for name in patterns if _is_name(name)}
    candidates = {name for name, _ in rows} | (named if create else set())
    found = sorted(name for name in candidates - refused if allowed.allow(name))
    # A pattern may yet allow a database that somebody makes.
    is_open = create and not any(all(map(_is_name, one)) for one in allowed.patterns.values())
    if found or is_open:
        return found
    set_by = "; ".join(f"{label} sets it to {list(one)}" for label, one in allowed.patterns.items())
    raise InvalidInputError(
        f"restore_over allows no database that can be replaced or made: {set_by}",
        hint="Correct it. If nothing may be replaced, set allow_restore and allow_copy to false.",
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # As PostgreSQL does, this tells upper from lower case, on every operating system.
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_name(pattern: str) -> bool:
    return not _WILDCARDS.intersection(pattern)
