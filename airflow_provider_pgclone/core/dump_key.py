"""Dump keys and local keys: the only place that formats or parses them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from airflow_provider_pgclone.core.errors import InvalidInputError

SUFFIX = ".dump"
NO_CONFIG = "none"
PREFIX_HINT = "A prefix is made of whole parts of <instance>/<database>/<config>/<timestamp>."
LOCAL_MARK = ":"
PRE = "pre"
POST = "post"

_TIMESTAMP_FORMAT = "%Y-%m-%d-%H-%M-%S-%f"
_PART = re.compile(r"[A-Za-z0-9_-]+")
_OTHER_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}-\d{1,6}", re.ASCII)
# NAMEDATALEN - 1, https://www.postgresql.org/docs/current/limits.html
MAX_DATABASE_NAME_BYTES = 63


@dataclass(frozen=True, order=True)
class DumpKey:
    """Where a dump is below the storage location; keys sort by the time of their dump."""

    created_at: datetime
    instance: str
    database: str
    config: str

    @classmethod
    def new(cls, *, instance: str, database: str, config: str, created_at: datetime) -> "DumpKey":
        """Build the key of a new dump.

        :param instance: cleaned, as are the next two: other characters become ``_``.
        :param created_at: when the dump started, with a time zone.
        :raises InvalidInputError: when a part is empty.
        """
        parts = {"instance": instance, "database": database, "config": config}
        for name, value in parts.items():
            if not value:
                raise InvalidInputError(f"the {name} of a dump key is empty")
        cleaned = {name: _OTHER_CHARACTER.sub("_", value) for name, value in parts.items()}
        return cls(created_at=created_at.astimezone(UTC), **cleaned)

    @classmethod
    def parse(cls, text: str) -> "DumpKey":
        """Read a key.

        :raises InvalidInputError: when the text is not ``instance/database/config/timestamp.dump``.
        """
        parts = text.removesuffix(SUFFIX).split("/")
        if not text.endswith(SUFFIX) or len(parts) != 4 or not _TIMESTAMP.fullmatch(parts[3]):
            raise _no_key(text)
        if not all(_PART.fullmatch(part) for part in parts[:3]):
            raise _no_key(text)
        try:
            created_at = datetime.strptime(f"{parts[3]}+0000", f"{_TIMESTAMP_FORMAT}%z")
        except ValueError as error:
            raise _no_key(text) from error
        return cls(created_at.astimezone(UTC), parts[0], parts[1], parts[2])

    @property
    def series(self) -> str:
        """The folder that it shares with the dumps of the same at other times."""
        return f"{self.instance}/{self.database}/{self.config}/"

    def __str__(self) -> str:
        return f"{self.series}{self.created_at.strftime(_TIMESTAMP_FORMAT)}{SUFFIX}"


@dataclass(frozen=True)
class KeyPrefix:
    """The leading parts of keys: whole ones, but for a timestamp, which may be cut short.

    Whole parts, so that ``prod/shop`` never means a dump of ``prod/shop_eu``.
    """

    folders: tuple[str, ...]
    timestamp: str = ""

    @classmethod
    def parse(cls, text: str) -> "KeyPrefix":
        """Read a prefix; the empty one means all keys.

        :raises InvalidInputError: when no key can start with the text.
        """
        parts = text.rstrip("/").removesuffix(SUFFIX).split("/") if text.rstrip("/") else []
        folders, rest = tuple(parts[:3]), parts[3:]
        valid = all(_PART.fullmatch(part) for part in folders) and len(rest) <= 1
        if not valid or not re.fullmatch(r"[0-9-]*", "".join(rest)):
            raise InvalidInputError(
                f"no dump key starts with {text!r}",
                hint=PREFIX_HINT,
            )
        return cls(folders, "".join(rest))

    def __str__(self) -> str:
        return "/".join((*self.folders, self.timestamp)) if self.folders else ""


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


def _no_key(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text!r} is no dump key",
        hint="A dump key is <instance>/<database>/<config>/<timestamp>.dump.",
    )
