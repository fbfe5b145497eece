"""What an option is, and the options that several verbs share."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from airflow_provider_pgclone.options import values


@dataclass(frozen=True)
class Option:
    """What is declared of an option, beside its name and its type.

    :param read: reads a value of any source; raises ValueError with the reason.
    :param default: the value if no source gives one; a callable is called each time.
    :param help: what the option means, a sentence in Markdown; all documentation shows it.
    :param default_help: the default as the documentation shows it.
    :param is_content: whether the option changes what a dump contains.
    :param is_secret: whether messages must not show its value.
    :param reads_late: whether its reader loads libraries or reads files, which must not happen
        while a DAG is parsed.
    :param instead: the option and its value that replace this deprecated one.
    """

    read: Callable[[Any], Any]
    default: Any
    help: str
    default_help: str = ""
    is_content: bool = False
    is_secret: bool = False
    reads_late: bool = False
    instead: tuple[str, str] | None = None

    @property
    def shown_default(self) -> str:
        return self.default_help or ("none" if self.default in ([], {}) else str(self.default))


def default_jobs() -> int:
    """Return the number of the machine's cores, but at least 2 and at most 4."""
    return min(4, max(2, os.cpu_count() or 2))


# The arguments of the hook itself.


class ServerArguments(TypedDict, total=False):
    """The server."""

    postgres_conn_id: Annotated[
        str | None,
        Option(values.text, "postgres_default", "The Airflow connection of the PostgreSQL server."),
    ]


class DatabaseArguments(TypedDict, total=False):
    """The database."""

    database: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The database to dump, to restore over or to copy.",
            default_help="the connection's",
        ),
    ]


class MaintenanceArguments(TypedDict, total=False):
    """What verbs need that create, rename or drop databases."""

    maintenance_database: Annotated[
        str | None,
        Option(
            values.text,
            "postgres",
            "The database to connect to while other databases are created, renamed and dropped.",
        ),
    ]


class StorageArguments(TypedDict, total=False):
    """Where dumps are stored."""

    storage_location: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "Where dumps are stored: `s3://bucket/prefix/`, `file:///folder/` or the path of a "
            "folder.",
            default_help="none; it must be set",
        ),
    ]
    storage_conn_id: Annotated[
        str | None,
        Option(values.text, "aws_default", "The AWS connection for `s3://` locations."),
    ]


class ClientArguments(TypedDict, total=False):
    """PostgreSQL's client programs."""

    pg_bin_dir: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The folder of pg_dump and pg_restore; `{major}` in it stands for each major version.",
            default_help="PATH, then the folders of the usual packages",
        ),
    ]


# The arguments of several methods of the hook.


class SelectionArguments(TypedDict, total=False):
    """Which part of a database is read."""

    exclude: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "Tables whose rows are left out, as patterns of `pg_dump --exclude-table-data`; the "
            "partitions of a partitioned table are left out with it.",
            is_content=True,
        ),
    ]
    schemas: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "The only schemas to read, as patterns of `pg_dump --schema`.",
            default_help="all",
            is_content=True,
        ),
    ]
    exclude_schemas: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "Schemas to leave out, as patterns of `pg_dump --exclude-schema`.",
            is_content=True,
        ),
    ]


class ReadingArguments(SelectionArguments, total=False):
    """Which part of a database is read, and whom the reader trusts."""

    trusted_owners: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "Roles whose functions may run with the rights of the connection while their tables "
            "are read; superusers and the connection's user are trusted without it.",
        ),
    ]


class MaskingArguments(TypedDict, total=False):
    """What is read in place of personal data, and which rows."""

    masks: Annotated[
        Mapping[str, Any] | str | None,
        Option(
            values.masks,
            {},
            "The rules by which personal data is masked: `{table pattern: {column: rule}}`, or "
            "the path of a YAML or JSON file that contains them; docs/reference/masking.md "
            "describes the rules.",
            is_content=True,
            reads_late=True,
        ),
    ]
    rows: Annotated[
        Mapping[str, str] | str | None,
        Option(
            values.rows,
            {},
            "Which rows are read: `{table pattern: SQL condition}`, or the path of a YAML or JSON "
            "file that contains the conditions.",
            default_help="all",
            is_content=True,
            reads_late=True,
        ),
    ]
    follow_fks: Annotated[
        bool | None,
        Option(
            values.flag,
            False,
            "Whether rows that refer to rows left out by `rows` are left out too.",
            is_content=True,
        ),
    ]
    policy: Annotated[
        str | None,
        Option(
            values.one_of("classified", "suspects"),
            None,
            "Which columns make a dump fail before it starts: `classified` means all that are "
            "neither masked nor declared safe; `suspects` means those of them that look personal.",
            default_help="none",
        ),
    ]
    keep: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "Columns that are declared safe, as patterns: `schema.table.column`, `table.column` "
            "or `column`.",
        ),
    ]
    mask_key: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The secret that makes masked values the same in every dump; it has at least 16 "
            "characters.",
            default_help="none",
            is_secret=True,
        ),
    ]
    mask_key_conn_id: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The Airflow connection whose password is the mask key.",
            default_help="none",
        ),
    ]
    mask_without_tls: Annotated[
        bool | None,
        Option(
            values.flag,
            False,
            "Whether what is derived from the mask key may cross a network without TLS; otherwise "
            "masking with a key needs TLS to every host but this machine.",
        ),
    ]


class SigningArguments(TypedDict, total=False):
    """By which secret it is known who wrote a dump."""

    signing_key: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The secret that signs dumps, and by which `require_signed` knows them; it has at "
            "least 16 characters.",
            default_help="none",
            is_secret=True,
        ),
    ]
    signing_key_conn_id: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The Airflow connection whose password is the signing key.",
            default_help="none",
        ),
    ]


Jobs = Annotated[
    int | None,
    Option(
        values.positive_integer,
        default_jobs,
        "How many sessions work in parallel to read the tables of a dump, or to load and "
        "analyze a restored database.",
        default_help="the worker's cores, from 2 to 4",
    ),
]
Checksums = Annotated[
    bool | None,
    Option(
        values.flag,
        False,
        "Whether a dump records a checksum of each table's rows, and a restore compares the "
        "checksums; otherwise the rows are counted.",
    ),
]
RequireMasked = Annotated[
    bool | None,
    Option(
        values.flag,
        False,
        "Whether only masked databases are made: restores and drills take masked dumps alone, and "
        "copies go by `stream`, with masks; if one source requires it, no other can lift it.",
    ),
]
RequireSigned = Annotated[
    bool | None,
    Option(
        values.flag,
        False,
        "Whether to take only dumps that the signing key signed, under the key that they have; if "
        "one source requires it, no other can lift it.",
    ),
]
Analyze = Annotated[
    bool | None,
    Option(
        values.flag,
        True,
        "Whether the tables are analyzed, so that the query planner knows them; one that cannot be "
        "analyzed is named in a warning.",
    ),
]
RestoreOver = Annotated[
    Sequence[str] | None,
    Option(
        values.names,
        None,
        "The only databases that may be replaced or made, as patterns such as `shop_staging*` in "
        "the syntax of Python's fnmatch; if several sources set it, each must allow the database.",
        default_help="all",
    ),
]
CreateTarget = Annotated[
    bool | None,
    Option(
        values.flag,
        True,
        "Whether a restore, a swap or a copy by `stream` makes its target if no database has that "
        "name; otherwise it is refused, as a wrong name would be. A swap makes none either if its "
        "restore may not.",
    ),
]
WaitSeconds = Annotated[
    float | None,
    Option(
        values.seconds,
        0.0,
        "How many seconds to wait while another restore, swap or copy into the same database runs, "
        "or a dump of a database that the server is to clone or to replace.",
    ),
]


class LoadingArguments(TypedDict, total=False):
    """How rows are loaded into a database."""

    no_owner: Annotated[
        bool | None,
        Option(
            values.flag,
            None,
            "Whether restored objects belong to the connection's user instead of their owners.",
            default_help="on, unless the server has all owners and the user may act for them",
        ),
    ]
    no_acl: Annotated[
        bool | None,
        Option(
            values.flag,
            None,
            "Whether privileges on restored objects are left out; `false` fails where one of them "
            "cannot be restored.",
            default_help="only those of roles that the server lacks, and those that the user may "
            "not restore",
        ),
    ]
    publications: Annotated[
        bool | None,
        Option(values.flag, False, "Whether publications are restored; subscriptions never are."),
    ]
    jobs: Jobs
    maintenance_work_mem: Annotated[
        str | None,
        Option(
            values.memory,
            None,
            "The memory that each session may use to build an index, such as `512MB`.",
            default_help="a quarter of shared_buffers among all sessions, at most 1 GB each; the "
            "server's if that is more",
        ),
    ]
