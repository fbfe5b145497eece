"""The options of each verb, as arguments of the hook's method of that verb."""

from collections.abc import Sequence
from typing import Annotated, TypedDict

from airflow_provider_pgclone.options import values
from airflow_provider_pgclone.options.shared import (
    Analyze,
    Checksums,
    CreateTarget,
    Jobs,
    LoadingArguments,
    MaskingArguments,
    Option,
    ReadingArguments,
    RequireMasked,
    RequireSigned,
    RestoreOver,
    SigningArguments,
    WaitSeconds,
)

Limit = Annotated[
    int | None,
    Option(
        values.positive_integer,
        None,
        "The largest number of keys to list; no more are read from storage.",
        default_help="all; 100 where a person picks one",
    ),
]
RequireVerified = Annotated[
    bool | None,
    Option(values.flag, False, "Whether to restore only dumps that a verification found intact."),
]


class DumpArguments(ReadingArguments, MaskingArguments, SigningArguments, total=False):
    """The options of a dump."""

    instance: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The first part of the dump key: the installation that the database belongs to.",
            default_help="the name of the connection",
        ),
    ]
    pg_dump_args: Annotated[
        Sequence[str] | None,
        Option(
            values.names,
            [],
            "More pg_dump options, such as `--no-comments`; an option and its value are one item.",
            is_content=True,
        ),
    ]
    jobs: Jobs
    compression_level: Annotated[
        int | None,
        Option(
            values.zstd_level,
            1,
            "The zstd compression level of a dump, from 1 to 19; with pg_dump 15 and older, dumps "
            "are compressed by gzip, without this option.",
        ),
    ]
    checksums: Checksums


class RestoreArguments(LoadingArguments, SigningArguments, total=False):
    """The options of a restore."""

    reversible: Annotated[
        bool | None,
        Option(
            values.flag,
            False,
            "Whether a restore keeps the previous database as `:pre`, and a copy of the restored "
            "database as `:post`.",
        ),
    ]
    swap: Annotated[
        bool | None,
        Option(
            values.flag,
            True,
            "Whether a restore swaps the restored database in; otherwise that database waits for "
            "its swap.",
        ),
    ]
    restore_over: RestoreOver
    create_target: CreateTarget
    checksums: Checksums
    analyze: Analyze
    check_sql: Annotated[
        str | Sequence[str] | None,
        Option(
            values.statements,
            [],
            "A query, or a list of queries, that must return true in the restored database before "
            "it is swapped in.",
        ),
    ]
    require_verified: RequireVerified
    require_masked: RequireMasked
    require_signed: RequireSigned
    wait_seconds: WaitSeconds


class SwapArguments(TypedDict, total=False):
    """The options of a swap."""

    restore_over: RestoreOver
    create_target: CreateTarget
    wait_seconds: WaitSeconds


class ChoiceArguments(SigningArguments, total=False):
    """Which dumps a person may choose from, and what they are restored over."""

    limit: Limit
    restore_over: RestoreOver
    create_target: CreateTarget
    require_verified: RequireVerified
    require_masked: RequireMasked
    require_signed: RequireSigned


class CopyArguments(ReadingArguments, MaskingArguments, LoadingArguments, total=False):
    """The options of a copy."""

    target_postgres_conn_id: Annotated[
        str | None,
        Option(
            values.text,
            None,
            "The Airflow connection of the server to copy to.",
            default_help="the source's",
        ),
    ]
    method: Annotated[
        str | None,
        Option(
            values.one_of("template", "stream"),
            None,
            "How to copy: with `template` the server copies its files and ends the sessions on "
            "the source; with `stream` the worker reads and writes, the sessions go on, and the "
            "target may be on another server.",
            default_help="`stream` to another connection, otherwise `template`",
        ),
    ]
    strategy: Annotated[
        str | None,
        Option(
            values.one_of("wal_log", "file_copy"),
            None,
            "How the server copies by `template`: `wal_log`, or `file_copy`, which clones files on "
            "PostgreSQL 18 if the file system can.",
            default_help="the server's",
        ),
    ]
    replace: Annotated[
        bool | None,
        Option(
            values.flag,
            True,
            "Whether a complete copy replaces an existing database of the same name.",
        ),
    ]
    analyze: Analyze
    restore_over: RestoreOver
    create_target: CreateTarget
    require_masked: RequireMasked
    wait_seconds: WaitSeconds


class DumpFilters(TypedDict, total=False):
    """Which dumps are listed."""

    limit: Limit
    verified: Annotated[
        bool | None, Option(values.flag, False, "Whether to list only verified dumps.")
    ]
    masked: Annotated[bool | None, Option(values.flag, False, "Whether to list only masked dumps.")]


def _kind(what: str) -> Option:
    """Return a flag that `what` has replaced."""
    return Option(
        values.flag, False, f"Deprecated: set `what` to `{what}`.", instead=("what", what)
    )


class NameKinds(TypedDict, total=False):
    """Deprecated flags by which names are listed instead of dumps."""

    instances: Annotated[bool | None, _kind("instances")]
    databases: Annotated[bool | None, _kind("databases")]
    configs: Annotated[bool | None, _kind("configs")]
    local: Annotated[bool | None, _kind("local")]


class ListArguments(DumpFilters, NameKinds, total=False):
    """The options of a listing."""

    what: Annotated[
        str | None,
        Option(
            values.one_of("dumps", "instances", "databases", "configs", "local", "files"),
            None,
            "What to list: `dumps`; the `instances`, `databases` or `configs` that have dumps; the "
            "server's databases as `local` keys; or all `files`, also those that are not dumps.",
            default_help="`dumps`",
        ),
    ]
    all_files: Annotated[bool | None, _kind("files")]


class VerifyArguments(LoadingArguments, SigningArguments, total=False):
    """The options of a verification."""

    level: Annotated[
        str | None,
        Option(
            values.one_of("archive", "restore"),
            "archive",
            "How to verify: `archive` checks every byte; `restore` also restores the dump into a "
            "database of its own, which is dropped afterwards.",
        ),
    ]
    record: Annotated[
        bool | None,
        Option(values.flag, True, "Whether a verification records its result beside the dump."),
    ]
    require_masked: RequireMasked
    require_signed: RequireSigned


_NO_RULE = "no such rule"


class PruneArguments(TypedDict, total=False):
    """The options of a prune."""

    keep_last: Annotated[
        int | None,
        Option(
            values.whole_number,
            None,
            "How many of the newest dumps to keep of each instance, database and config.",
            default_help=_NO_RULE,
        ),
    ]
    keep_daily: Annotated[
        int | None,
        Option(
            values.whole_number,
            None,
            "For how many days to keep the newest dump of the day, in UTC; days without a dump do "
            "not count.",
            default_help=_NO_RULE,
        ),
    ]
    keep_weekly: Annotated[
        int | None,
        Option(
            values.whole_number,
            None,
            "For how many weeks, which start on Monday, to keep the newest dump of the week.",
            default_help=_NO_RULE,
        ),
    ]
    keep_monthly: Annotated[
        int | None,
        Option(
            values.whole_number,
            None,
            "For how many months to keep the newest dump of the month.",
            default_help=_NO_RULE,
        ),
    ]
    older_than_days: Annotated[
        float | None,
        Option(
            values.age,
            None,
            "Dumps that are not older than this many days are kept; as the only rule, it deletes "
            "all older dumps but the last good one.",
            default_help=_NO_RULE,
        ),
    ]
    uploads_older_than_hours: Annotated[
        float | None,
        Option(
            values.age,
            24,
            "Unfinished uploads that received no data for this many hours are removed as "
            "leftovers.",
        ),
    ]
    temp_databases: Annotated[
        bool | None,
        Option(
            values.flag,
            None,
            "Whether to drop temporary databases that killed restores and copies left on the "
            "server.",
            default_help="on, unless `allow_restore` is false",
        ),
    ]
    temp_older_than_hours: Annotated[
        float | None,
        Option(
            values.age,
            168,
            "Restored databases that have waited longer than this many hours for their swap are "
            "dropped.",
        ),
    ]
    # Not dry_run, which is a method of Airflow's operators.
    preview: Annotated[
        bool | None,
        Option(
            values.flag,
            False,
            "Whether to delete nothing and only report what would be deleted.",
        ),
    ]
