"""What can go wrong, as a tree.

PgCloneError
├── PermanentError              another try of the same call fails again
│   ├── InvalidInputError       an argument, option, key or name that cannot be
│   │   └── UnknownOptionError
│   ├── NotAllowedError         a setting or a connection forbids the verb
│   ├── NotFoundError           a dump, database, bucket or folder that does not exist
│   └── UnsupportedError        these versions, rights or server features do not fit
├── BusyError                   something else holds what is needed, for now
├── StorageError                storage refused or broke off
├── ServerError                 PostgreSQL refused a statement, or the connection broke
├── ToolError                   a PostgreSQL program failed
│   └── RestoreError            pg_restore reported an error that is not harmless
│       └── MismatchError       the restored database is not what was dumped
├── ArchiveError                the bytes are no archive, or no whole one
└── CancelledError              the caller asked to stop
"""


class PgCloneError(Exception):
    """The base of all errors of this package.

    :param message: what happened, naming the object; lowercase and without a final period.
    :param hint: what to do about it, a whole sentence.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class PermanentError(PgCloneError):
    """Another try of the same call fails again."""


class InvalidInputError(PermanentError):
    """An argument, option, key or name that cannot be."""


class UnknownOptionError(InvalidInputError):
    """A name that is no option, or no option of that verb."""


class NotAllowedError(PermanentError):
    """A setting or a connection forbids the verb."""


class NotFoundError(PermanentError):
    """A dump, database, bucket or folder that does not exist."""


class UnsupportedError(PermanentError):
    """These versions, rights or server features do not fit."""


class BusyError(PgCloneError):
    """Something else holds what is needed, for now."""


class StorageError(PgCloneError):
    """Storage refused or broke off."""


class ServerError(PgCloneError):
    """PostgreSQL refused a statement, or the connection broke."""


class ToolError(PgCloneError):
    """A PostgreSQL program failed."""


class RestoreError(ToolError):
    """pg_restore reported an error that is not harmless."""


class MismatchError(RestoreError):
    """The restored database is not what was dumped."""


class ArchiveError(PgCloneError):
    """The bytes are no archive, or no whole one."""


class CancelledError(PgCloneError):
    """The caller asked to stop."""
