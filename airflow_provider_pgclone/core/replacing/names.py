"""The names of databases: local keys, and the databases of an attempt."""

from dataclasses import dataclass

from airflow_provider_pgclone.core.errors import InvalidInputError

LOCAL_MARK = ":"


PRE = "pre"


POST = "post"


# NAMEDATALEN - 1, https://www.postgresql.org/docs/current/limits.html
MAX_DATABASE_NAME_BYTES = 63


@dataclass(frozen=True)
class LocalKey:
    """A database on the same server; ``:pre`` and ``:post`` stand for those of the last restore."""

    name: str

    @classmethod
    def parse(cls, text: str) -> "LocalKey":
        """Read ``:name``.

        :raises InvalidInputError: without the colon, or with a name that no database can have.
        """
        if not text.startswith(LOCAL_MARK):
            raise InvalidInputError(
                f"{text!r} is no local key", hint="Write it as a colon and a database name."
            )
        name = text.removeprefix(LOCAL_MARK)
        check_database_name(name)
        return cls(name)

    @property
    def is_reserved(self) -> bool:
        return self.name in (PRE, POST)

    def check_not_reserved(self) -> None:
        """Refuse a name that only a reversible restore gives.

        :raises InvalidInputError: for ``:pre`` and ``:post``.
        """
        if self.is_reserved:
            raise InvalidInputError(
                f"{self} is a reserved name", hint="Give the copy another name."
            )

    def database_name(self, target: str) -> str:
        """Return the name of the database that the key stands for beside ``target``."""
        return kept_database_name(target, self.name) if self.is_reserved else self.name

    def __str__(self) -> str:
        return f"{LOCAL_MARK}{self.name}"


def kept_database_name(target: str, role: str) -> str:
    """Return the name that a reversible restore of ``target`` gives to ``pre`` or ``post``."""
    return f"{target}__{role}"


def check_database_name(name: str) -> None:
    """Refuse a name that PostgreSQL would refuse or cut.

    :raises InvalidInputError: when it is empty, has a NUL or is longer than 63 bytes.
    """
    if not name or "\0" in name:
        raise InvalidInputError(f"{name!r} is no database name")
    length = len(name.encode())
    if length > MAX_DATABASE_NAME_BYTES:
        raise InvalidInputError(
            f"the database name {name!r} has {length} bytes",
            hint=f"PostgreSQL takes {MAX_DATABASE_NAME_BYTES} at the most.",
        )


def attempt_database_name(target: str, role: str, attempt: str) -> str:
    """Return a name for a database of one attempt, cut to fit; its marker tells what it is."""
    suffix = f"__{role}_{attempt}"
    room = MAX_DATABASE_NAME_BYTES - len(suffix)
    return target.encode()[:room].decode(errors="ignore") + suffix
