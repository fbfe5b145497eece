"""The errors of this package, as a tree.

PgCloneError
├── PermanentError              the same call would fail again
│   ├── InvalidInputError       an argument, option, key or name is not valid
│   │   └── UnknownOptionError
│   ├── NotAllowedError         a setting or a connection forbids the verb
│   ├── NotFoundError           a dump, database, bucket or folder does not exist
│   └── UnsupportedError        a version, a right or a feature of the server is missing
├── BusyError                   another process holds what is needed; a later try may succeed
├── StorageError                storage refused a request, or the connection to it broke
├── ServerError                 PostgreSQL refused a statement, or the connection to it broke
├── ToolError                   a PostgreSQL program failed
│   └── RestoreError            an entry of the archive cannot be restored
│       └── MismatchError       the restored database differs from what was dumped
├── ArchiveError                the bytes are not an archive, or the archive is damaged
└── CancelledError              the caller asked to stop
"""

from airflow_provider_pgclone.core.visible import visible_lines


class PgCloneError(Exception):
    """The base of all errors of this package.

    :param message: what happened and to which object; lowercase, without a final period. Names in
        it may be those of others.
    :param hint: what to do about it, as a sentence.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = visible_lines(message)
        self.hint = None if hint is None else visible_lines(hint)
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        # A server's message may end in a sentence.
        stop = "" if self.message.endswith((".", "?", "!")) else "."
        return f"{self.message}{stop} {self.hint}"


class PermanentError(PgCloneError):
    """The same call would fail again."""


class InvalidInputError(PermanentError):
    """An argument, option, key or name is not valid."""


class UnknownOptionError(InvalidInputError):
    """A name is not an option of the verb."""


class NotAllowedError(PermanentError):
    """A setting or a connection forbids the verb."""


class NotFoundError(PermanentError):
    """A dump, database, bucket or folder does not exist."""


class UnsupportedError(PermanentError):
    """A version, a right or a feature of the server is missing."""


class BusyError(PgCloneError):
    """Another process holds what is needed; a later try may succeed."""


class StorageError(PgCloneError):
    """Storage refused a request, or the connection to it broke."""


class ServerError(PgCloneError):
    """PostgreSQL refused a statement, or the connection to it broke."""


class ToolError(PgCloneError):
    """A PostgreSQL program failed."""


class RestoreError(ToolError):
    """The server or pg_restore refused an entry of the archive, and that is not harmless."""


class MismatchError(RestoreError):
    """The restored database differs from what was dumped."""


class ArchiveError(PgCloneError):
    """The bytes are not an archive, or the archive is damaged."""


class CancelledError(PgCloneError):
    """The caller asked to stop."""
