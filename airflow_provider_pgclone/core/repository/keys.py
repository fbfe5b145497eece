"""Dump keys and their prefixes. No other module formats or parses them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from airflow_provider_pgclone.core.errors import InvalidInputError

SUFFIX = ".dump"
NO_CONFIG = "none"
PREFIX_HINT = "A prefix is made of whole parts of <instance>/<database>/<config>/<timestamp>."
# As restores and copies take it for a database on the server.
_LOCAL_MARK = ":"
_TIMESTAMP_FORMAT = "%Y-%m-%d-%H-%M-%S-%f"
_PART = re.compile(r"[A-Za-z0-9_-]+")
_OTHER_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_REPLACEMENT = "_"
_HASH_DIGITS = 8
_HASH = re.compile(rf"[0-9a-f]{{{_HASH_DIGITS}}}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}-\d{1,6}", re.ASCII)


def key_part(name: str) -> str:
    """Return the part of keys that stands for a name: the name itself, if a key may contain it.

    Otherwise its other characters become ``_``, and a hash of the name follows. Without the hash
    ``sales.eu`` and ``sales_eu`` would be one database to a prune or a prefix.
    """
    if _PART.fullmatch(name):
        return name
    digits = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{_without_hash(name)}-{digits}"


def is_part_of(part: str, name: str) -> bool:
    """Tell whether a part stands for a name; the keys of earlier versions have no hash in it."""
    return part in (key_part(name), _without_hash(name))


def may_be_shared(part: str) -> bool:
    """Tell whether several names may share a part, as in the keys of earlier versions."""
    return _REPLACEMENT in part


def shares_old_part(part: str, other: str) -> bool:
    """Tell whether the name of another part had this part in the keys of earlier versions."""
    cleaned, _, digits = other.rpartition("-")
    return cleaned == part and _HASH.fullmatch(digits) is not None


@dataclass(frozen=True, order=True)
class DumpKey:
    """The path of a dump in storage. Keys sort by the time of the dump."""

    created_at: datetime
    instance: str
    database: str
    config: str

    @classmethod
    def new(cls, *, instance: str, database: str, config: str, created_at: datetime) -> "DumpKey":
        """Build the key of a new dump; ``key_part`` tells what becomes of each name.

        :param created_at: the time at which the dump started, with a time zone.
        :raises InvalidInputError: when a part is empty.
        """
        parts = {"instance": instance, "database": database, "config": config}
        for name, value in parts.items():
            if not value:
                raise InvalidInputError(f"the {name} of a dump key is empty")
        return cls(
            created_at=created_at.astimezone(UTC),
            **{name: key_part(value) for name, value in parts.items()},
        )

    @classmethod
    def parse(cls, text: str) -> "DumpKey":
        """Read a key.

        :raises InvalidInputError: when the text is not ``instance/database/config/timestamp.dump``.
        """
        parts = text.removesuffix(SUFFIX).split("/")
        if not text.endswith(SUFFIX) or len(parts) != 4 or not _TIMESTAMP.fullmatch(parts[3]):
            raise _not_a_key(text)
        if not all(_PART.fullmatch(part) for part in parts):
            raise _not_a_key(text)
        try:
            created_at = datetime.strptime(f"{parts[3]}+0000", f"{_TIMESTAMP_FORMAT}%z")
        except ValueError as error:
            raise _not_a_key(text) from error
        return cls(created_at.astimezone(UTC), parts[0], parts[1], parts[2])

    @property
    def series(self) -> str:
        """The folder of all dumps of the same instance, database and config."""
        return f"{self.instance}/{self.database}/{self.config}/"

    def __str__(self) -> str:
        return f"{self.series}{self.created_at.strftime(_TIMESTAMP_FORMAT)}{SUFFIX}"


@dataclass(frozen=True)
class KeyPrefix:
    """The leading parts of keys. Only the timestamp may be incomplete.

    So ``prod/shop`` never means a dump of ``prod/shop_eu``.
    """

    folders: tuple[str, ...]
    timestamp: str = ""

    @classmethod
    def parse(cls, text: str) -> "KeyPrefix":
        """Read a prefix. An empty prefix means all keys.

        :raises InvalidInputError: when no key can start with the text, such as a local key.
        """
        if text.startswith(_LOCAL_MARK):
            raise InvalidInputError(
                f"{text!r} is a local key, and no local key is taken here",
                hint="Give the key of a dump, or a prefix. A local key names a database.",
            )
        whole = text.rstrip("/")
        parts = whole.removesuffix(SUFFIX).split("/") if whole else []
        folders, timestamp = tuple(parts[:3]), "/".join(parts[3:])
        valid = all(_PART.fullmatch(part) for part in folders)
        if not valid or not re.fullmatch(r"[0-9-]*", timestamp):
            wrong = [part for part in folders if part and not _PART.fullmatch(part)]
            blanks = _told_blanks([*folders, timestamp])
            written = [
                f"Write {key_part(part)} for {part!r}." for part in wrong if part == part.strip()
            ]
            raise InvalidInputError(
                f"no dump key starts with {text!r}",
                hint=" ".join([PREFIX_HINT, *blanks, *written]),
            )
        return cls(folders, timestamp)

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that stand for the instance and the database, as far as the prefix has them."""
        return self.folders[:2]

    @property
    def database(self) -> str | None:
        """The part that stands for the database, if the prefix has it."""
        return self.folders[1] if len(self.folders) > 1 else None

    def __str__(self) -> str:
        return "/".join((*self.folders, self.timestamp))


def _without_hash(name: str) -> str:
    return _OTHER_CHARACTER.sub(_REPLACEMENT, name)


def _not_a_key(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text!r} is not a dump key",
        hint=" ".join(
            [
                "A dump key is <instance>/<database>/<config>/<timestamp>.dump.",
                *_told_blanks(text.split("/")),
            ]
        ),
    )


def _told_blanks(parts: Iterable[str]) -> list[str]:
    """Return a sentence about each part that begins or ends with a blank."""
    return [f"There are blanks around {part!r}." for part in parts if part != part.strip()]
