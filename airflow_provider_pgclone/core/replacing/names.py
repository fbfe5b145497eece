"""The names of databases: local keys, kept databases and the databases of an attempt."""

import re
from dataclasses import dataclass
from hashlib import sha256

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError

LOCAL_MARK = ":"
PRE = "pre"
POST = "post"
# NAMEDATALEN - 1, https://www.postgresql.org/docs/current/limits.html
MAX_DATABASE_NAME_BYTES = 63
# So many that nobody finds a second name with the same ones.
_HASH_DIGITS = 16
_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH_DIGITS}}}", re.DOTALL)
_ATTEMPT_DIGITS = 8


@dataclass(frozen=True)
class LocalKey:
    """A database on the server of the target, written as ``:name``.

    ``:pre`` and ``:post`` are the databases that the last reversible restore kept.
    """

    name: str

    @classmethod
    def parse(cls, text: str) -> "LocalKey":
        """Parse ``:name``.

        :raises InvalidInputError: when the colon is missing, or the name is not valid.
        """
        if not text.startswith(LOCAL_MARK):
            raise InvalidInputError(
                f"{text!r} is not a local key", hint="Write a colon and the name of a database."
            )
        name = text.removeprefix(LOCAL_MARK)
        check_database_name(name)
        return cls(name)

    @property
    def is_reserved(self) -> bool:
        """Whether the key is ``:pre`` or ``:post``."""
        return self.name in (PRE, POST)

    def check_not_reserved(self) -> None:
        """Refuse a name that only a reversible restore may create.

        :raises InvalidInputError: for ``:pre`` and ``:post``.
        """
        if self.is_reserved:
            raise InvalidInputError(
                f"{self} is a reserved name", hint="Give the copy another name."
            )

    def check_masked(self) -> None:
        """Refuse a database of which it is not known whether it is masked.

        :raises UnsupportedError: for all but ``:pre`` and ``:post``.
        """
        if not self.is_reserved:
            raise UnsupportedError(
                f"{self} is not known to be masked, and only masked databases may be restored",
                hint="Restore a masked dump. :pre and :post may be restored too, since they come "
                "from earlier restores.",
            )

    def database_name(self, target: str) -> str:
        """Return the name of the database; ``:pre`` and ``:post`` depend on the target."""
        return kept_database_name(target, self.name) if self.is_reserved else self.name

    def __str__(self) -> str:
        return f"{LOCAL_MARK}{self.name}"


def kept_database_name(target: str, role: str) -> str:
    """Return the name of the *pre* or *post* database of a target."""
    return f"{target}__{role}"


def check_database_name(name: str) -> None:
    """Refuse a name that PostgreSQL would reject or truncate.

    :raises InvalidInputError: when it is empty, contains a NUL or half a character, as JSON may, or
        is longer than 63 bytes.
    """
    if not name or "\0" in name or any("\ud800" <= one <= "\udfff" for one in name):
        raise InvalidInputError(f"{name!r} is not a database name")
    length = len(name.encode())
    if length > MAX_DATABASE_NAME_BYTES:
        raise InvalidInputError(
            f"the database name {name!r} has {length} bytes",
            hint=f"PostgreSQL allows at most {MAX_DATABASE_NAME_BYTES} bytes.",
        )


def attempt_database_name(target: str, role: str, attempt: str) -> str:
    """Return the name of a database of an attempt, which no other target has.

    A long name of a target is cut, and has a hash of the whole one. So has a name that looks like
    that. The marker of the database holds the whole name of the target.
    """
    suffix = f"__{role}_{attempt}"
    room = MAX_DATABASE_NAME_BYTES - len(suffix)
    encoded = target.encode()
    if len(encoded) <= room and not _HASHED.fullmatch(target):
        return target + suffix
    digits = sha256(encoded).hexdigest()[:_HASH_DIGITS]
    start = encoded[: room - len(digits) - 1].decode(errors="ignore")
    return f"{start}-{digits}{suffix}"


def is_temporary_of(name: str, target: str) -> bool:
    """Tell whether a name is that of the temporary database of some attempt on a target."""
    return name == attempt_database_name(target, "temp", name[-_ATTEMPT_DIGITS:])
