"""Every option, declared once."""

import os
from collections.abc import Mapping

from airflow_provider_pgclone.options.masking import MASK_OPTIONS
from airflow_provider_pgclone.options.option import VERBS, Guard, Option, Verb
from airflow_provider_pgclone.options.values import (
    age,
    flag,
    memory,
    names,
    one_of,
    positive_integer,
    seconds,
    statements,
    text,
    whole_number,
    zstd_level,
)


def default_jobs() -> int:
    """As many as the machine has cores, from 2 to 4."""
    return min(4, max(2, os.cpu_count() or 2))


_STORAGE: tuple[Verb, ...] = ("dump", "ls", "restore", "prune", "test_connection", "verify")
_SERVER: tuple[Verb, ...] = (
    *("ls", "restore", "swap", "copy", "drop_temp", "prune", "test_connection", "verify"),
)
_LOADING: tuple[Verb, ...] = ("restore", "copy", "verify")

_NO_RULE = "no such rule"

OPTIONS: tuple[Option, ...] = (
    Option(
        "postgres_conn_id",
        text,
        "postgres_default",
        "The Airflow connection of the PostgreSQL server.",
        VERBS,
    ),
    Option(
        "database",
        text,
        None,
        "The database to dump, to restore over or to copy.",
        ("dump", "restore", "copy", "test_connection", "propose_masks"),
        default_help="the connection's",
    ),
    Option(
        "maintenance_database",
        text,
        "postgres",
        "The database to connect to while others are created, renamed and dropped.",
        _SERVER,
    ),
    Option(
        "storage_location",
        text,
        None,
        "Where dumps are kept: `s3://bucket/prefix/`, `file:///folder/` or the path of a folder.",
        _STORAGE,
        default_help="none: it must be given",
    ),
    Option(
        "storage_conn_id",
        text,
        "aws_default",
        "The AWS connection for `s3://` locations.",
        _STORAGE,
    ),
    Option(
        "instance",
        text,
        None,
        "The first part of the dump key: which installation the database belongs to.",
        ("dump",),
        default_help="the name of the connection",
    ),
    Option(
        "exclude",
        names,
        [],
        "Tables whose data is left out, as patterns of `pg_dump --exclude-table-data`; with a "
        "partitioned table go its partitions.",
        ("dump", "copy", "propose_masks"),
        is_content=True,
    ),
    Option(
        "schemas",
        names,
        [],
        "The only schemas to dump, as patterns of `pg_dump --schema`.",
        ("dump", "copy", "propose_masks"),
        is_content=True,
    ),
    Option(
        "exclude_schemas",
        names,
        [],
        "Schemas to leave out, as patterns of `pg_dump --exclude-schema`.",
        ("dump", "copy", "propose_masks"),
        is_content=True,
    ),
    Option(
        "pg_dump_args",
        names,
        [],
        "More pg_dump options, each with its value in one word, such as `--no-comments`.",
        ("dump",),
        is_content=True,
    ),
    *MASK_OPTIONS,
    Option(
        "pg_bin_dir",
        text,
        None,
        "The folder of pg_dump and pg_restore; `{major}` in it stands for each version.",
        ("dump", "restore", "copy", "test_connection", "verify"),
        default_help="PATH, then the folders of the usual packages",
    ),
    Option(
        "jobs",
        positive_integer,
        default_jobs,
        "How many sessions work at once: they read the large tables of a dump, or load and analyze "
        "a restored database.",
        ("dump", *_LOADING),
        default_help="the worker's cores, from 2 to 4",
    ),
    Option(
        "maintenance_work_mem",
        memory,
        None,
        "How much memory each session of a restore may use to build an index, such as `512MB`.",
        _LOADING,
        default_help="the server's",
    ),
    Option(
        "compression_level",
        zstd_level,
        1,
        "How hard zstd compresses a dump, from 1 to 19; pg_dump 15 and older have gzip.",
        ("dump",),
    ),
    Option(
        "reversible",
        flag,
        False,
        "Whether a restore keeps the database before it as `:pre` and after it as `:post`.",
        ("restore",),
    ),
    Option(
        "swap",
        flag,
        True,
        "Whether a restore swaps its database in; otherwise it waits for the swap.",
        ("restore",),
    ),
    Option(
        "no_owner",
        flag,
        None,
        "Whether restored objects belong to the user of the connection instead of their owners.",
        _LOADING,
        default_help="on, unless the server has all owners and the user may act for them",
    ),
    Option(
        "no_acl",
        flag,
        None,
        "Whether rights on restored objects are left out.",
        _LOADING,
        default_help="on with no_owner, and where the server lacks a role that has rights",
    ),
    Option(
        "publications",
        flag,
        False,
        "Whether publications are restored; subscriptions never are.",
        _LOADING,
    ),
    Option(
        "checksums",
        flag,
        False,
        "Whether a dump notes a checksum of each table's rows, and a restore compares them; "
        "otherwise the rows are counted.",
        ("dump", "restore"),
    ),
    Option(
        "check_sql",
        statements,
        [],
        "A query, or a list of them, that must give true on the restored database before it is "
        "swapped in.",
        ("restore",),
    ),
    Option(
        "require_verified",
        flag,
        False,
        "Whether only dumps are restored that a verification has found whole.",
        ("restore",),
    ),
    Option(
        "level",
        one_of("archive", "restore"),
        "archive",
        "How to verify: `archive` checks every byte, `restore` also restores into a database of "
        "its own, which is dropped then.",
        ("verify",),
    ),
    Option(
        "record",
        flag,
        True,
        "Whether a verification notes what it has found beside the dump.",
        ("verify",),
    ),
    Option(
        "wait_seconds",
        seconds,
        0.0,
        "How long to wait while another restore, swap or copy into the same database runs.",
        ("restore", "swap", "copy"),
    ),
    Option(
        "target_postgres_conn_id",
        text,
        None,
        "The Airflow connection of the server to copy to.",
        ("copy",),
        default_help="the source's",
    ),
    Option(
        "method",
        one_of("template", "stream"),
        None,
        "How to copy: `template` by the server, which ends the sessions on the source, or `stream` "
        "by pg_dump and pg_restore, which leaves them alone and reaches other servers.",
        ("copy",),
        default_help="`stream` to another connection, else `template`",
    ),
    Option(
        "strategy",
        one_of("wal_log", "file_copy"),
        None,
        "How the server copies by `template`: `wal_log`, or `file_copy`, which clones files on "
        "PostgreSQL 18 where its file system can.",
        ("copy",),
        default_help="the server's",
    ),
    Option(
        "replace",
        flag,
        True,
        "Whether a copy replaces a database of that name, once the copy is whole.",
        ("copy",),
    ),
    Option(
        "limit",
        positive_integer,
        None,
        "How many keys to list at the most; no more are asked for.",
        ("ls",),
        default_help="all",
    ),
    Option(
        "instances", flag, False, "Whether to list only the instances that have dumps.", ("ls",)
    ),
    Option(
        "databases", flag, False, "Whether to list only the databases that have dumps.", ("ls",)
    ),
    Option("configs", flag, False, "Whether to list only the configs that have dumps.", ("ls",)),
    Option("verified", flag, False, "Whether to list only dumps that are verified.", ("ls",)),
    Option("masked", flag, False, "Whether to list only dumps that are masked.", ("ls",)),
    Option("local", flag, False, "Whether to list the server's databases as local keys.", ("ls",)),
    Option(
        "all_files",
        flag,
        False,
        "Whether to list files that are no dumps as well, by their time.",
        ("ls",),
    ),
    Option(
        "keep_last",
        whole_number,
        None,
        "How many dumps are kept, the newest, of each instance, database and config.",
        ("prune",),
        default_help=_NO_RULE,
    ),
    Option(
        "keep_daily",
        whole_number,
        None,
        "For how many days the newest dump is kept, counting those that have dumps, in UTC.",
        ("prune",),
        default_help=_NO_RULE,
    ),
    Option(
        "keep_weekly",
        whole_number,
        None,
        "For how many weeks, from Monday on, the newest dump is kept.",
        ("prune",),
        default_help=_NO_RULE,
    ),
    Option(
        "keep_monthly",
        whole_number,
        None,
        "For how many months the newest dump is kept.",
        ("prune",),
        default_help=_NO_RULE,
    ),
    Option(
        "older_than_days",
        age,
        None,
        "How old a dump is at least when it is deleted; alone, it deletes all that are older, but "
        "for the last good one.",
        ("prune",),
        default_help=_NO_RULE,
    ),
    Option(
        "uploads_older_than_hours",
        age,
        24,
        "For how long nothing has come of an upload that is removed as that of a killed dump.",
        ("prune",),
    ),
    Option(
        "temp_databases",
        flag,
        None,
        "Whether the temporary databases that killed restores and copies have left on the server "
        "are dropped.",
        ("prune",),
        default_help="on, unless `allow_restore` is false",
    ),
    Option(
        "temp_older_than_hours",
        age,
        168,
        "For how long a restored database has waited for its swap that is dropped as given up.",
        ("prune",),
    ),
    # Not dry_run, which is a method of Airflow's operators.
    Option("preview", flag, False, "Whether to delete nothing and tell what would be.", ("prune",)),
)

# Not arguments: what one source forbids, no other allows.
GUARDS: Mapping[Guard, str] = {
    "allow_dump": "Whether databases may be dumped.",
    "allow_restore": "Whether databases may be restored over, swapped and have their "
    "temporary databases dropped.",
    "allow_copy": "Whether databases may be copied.",
    "allow_prune": "Whether dumps may be pruned.",
}
GUARD_OF_VERB: Mapping[Verb, Guard] = {
    "dump": "allow_dump",
    "restore": "allow_restore",
    "swap": "allow_restore",
    "drop_temp": "allow_restore",
    "copy": "allow_copy",
    "prune": "allow_prune",
}

BY_NAME = {option.name: option for option in OPTIONS}


def options_table() -> str:
    """Return the options as a Markdown table, which the README holds."""
    rows = [
        f"| `{option.name}` | {', '.join(option.verbs) if option.verbs != VERBS else 'all'} "
        f"| {option.shown_default} | {option.help} |"
        for option in OPTIONS
    ]
    return "\n".join(["| Option | Verbs | Default | Meaning |", "|---|---|---|---|", *rows])
