"""Which databases a setting allows to be replaced or made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from airflow_provider_pgclone.core.errors import NotAllowedError


@dataclass(frozen=True)
class AllowedTargets:
    """The databases that may be replaced or made, as each source of settings has it.

    :param patterns: patterns of names in the syntax of fnmatch, by the label of the source that
        sets them. A database is allowed if each source has a pattern for it; without a source all
        are.
    """

    patterns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def check(self, name: str) -> None:
        """Refuse a database, before anything is done for it.

        :raises NotAllowedError: naming the database and the source that does not allow it.
        """
        for source, patterns in self.patterns.items():
            # As PostgreSQL does, this tells upper from lower case, on every operating system.
            if not any(fnmatchcase(name, pattern) for pattern in patterns):
                allowed = f"only {', '.join(patterns)}" if patterns else "no database"
                raise NotAllowedError(
                    f"database {name!r} may not be replaced or made: {source} sets restore_over "
                    f"to {list(patterns)}",
                    hint=f"It allows {allowed}.",
                )
