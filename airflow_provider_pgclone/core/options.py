"""Every option, declared once, and the order in which its values are looked for."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow_provider_pgclone.core.dump_key import NO_CONFIG
from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnknownOptionError,
)
from airflow_provider_pgclone.core.option_values import (
    flag,
    memory,
    names,
    one_of,
    positive_integer,
    seconds,
    text,
    zstd_level,
)

Verb = Literal["dump", "ls", "restore", "swap", "copy", "drop_temp"]
Guard = Literal["allow_dump", "allow_restore", "allow_copy"]
VERBS: tuple[Verb, ...] = ("dump", "ls", "restore", "swap", "copy", "drop_temp")


@dataclass(frozen=True)
class Option:
    """An option of one or more verbs.

    :param parse: reads a value of any source; raises ValueError with the reason.
    :param default: the value where no source gives one; a callable is asked each time.
    :param help: for the documentation, one sentence.
    :param verbs: whose option it is.
    :param default_help: what the documentation shows as the default.
    :param is_content: whether it changes what a dump contains.
    """

    name: str
    parse: Callable[[Any], Any]
    default: Any
    help: str
    verbs: tuple[Verb, ...]
    default_help: str = ""
    is_content: bool = False

    @property
    def shown_default(self) -> str:
        return self.default_help or ("[]" if self.default == [] else str(self.default))


def default_jobs() -> int:
    """As many as the machine has cores, from 2 to 4."""
    return min(4, max(2, os.cpu_count() or 2))


_STORAGE: tuple[Verb, ...] = ("dump", "ls", "restore")
_SERVER: tuple[Verb, ...] = ("ls", "restore", "swap", "copy", "drop_temp")

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
        ("dump", "restore", "copy"),
        default_help="the connection's",
    ),
    Option(
        "maintenance_database",
        text,
        "postgres",
        "The database to connect to while others are created, renamed and dropped; the same for "
        "everybody who restores to a server, since the lock of a target is kept there.",
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
        ("dump", "copy"),
        is_content=True,
    ),
    Option(
        "schemas",
        names,
        [],
        "The only schemas to dump, as patterns of `pg_dump --schema`.",
        ("dump", "copy"),
        is_content=True,
    ),
    Option(
        "exclude_schemas",
        names,
        [],
        "Schemas to leave out, as patterns of `pg_dump --exclude-schema`.",
        ("dump", "copy"),
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
    Option(
        "pg_bin_dir",
        text,
        None,
        "The folder of pg_dump and pg_restore; `{major}` in it stands for each version.",
        ("dump", "restore", "copy"),
        default_help="PATH, then the folders of the usual packages",
    ),
    Option(
        "jobs",
        positive_integer,
        default_jobs,
        "How many sessions work at once: they read the large tables of a dump, or load and analyze "
        "a restored database.",
        ("dump", "restore", "copy"),
        default_help="the worker's cores, from 2 to 4",
    ),
    Option(
        "maintenance_work_mem",
        memory,
        None,
        "How much memory each session of a restore may use to build an index, such as `512MB`.",
        ("restore", "copy"),
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
        ("restore", "copy"),
        default_help="on, unless the server has all owners and the user may act for them",
    ),
    Option(
        "no_acl",
        flag,
        None,
        "Whether rights on restored objects are left out.",
        ("restore", "copy"),
        default_help="on with no_owner, and where the server lacks a role that has rights",
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
    Option("local", flag, False, "Whether to list the server's databases as local keys.", ("ls",)),
    Option(
        "all_files",
        flag,
        False,
        "Whether to list files that are no dumps as well, by their time.",
        ("ls",),
    ),
)

# Not arguments: what one source forbids, no other allows.
GUARDS: Mapping[Guard, str] = {
    "allow_dump": "Whether databases may be dumped.",
    "allow_restore": "Whether databases may be restored over, swapped and have their "
    "temporary databases dropped.",
    "allow_copy": "Whether databases may be copied.",
}
GUARD_OF_VERB: Mapping[Verb, Guard] = {
    "dump": "allow_dump",
    "restore": "allow_restore",
    "swap": "allow_restore",
    "drop_temp": "allow_restore",
    "copy": "allow_copy",
}

_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True)
class Source:
    """Where values come from.

    :param label: names it in errors.
    :param values: option names and values; ``None`` means not given.
    """

    label: str
    values: Mapping[str, Any]

    def check(self) -> None:
        """Refuse names that are no option.

        :raises UnknownOptionError: naming the first of them.
        """
        for name in self.values:
            if name not in _BY_NAME and name not in GUARDS:
                raise UnknownOptionError(
                    f"{self.label} has the unknown option {name!r}",
                    hint=f"The options are {', '.join([*_BY_NAME, *GUARDS])}.",
                )

    def get(self, name: str) -> Any:
        """Return the value of an option, ``None`` where it is not given."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return _BY_NAME[name].parse(value) if name in _BY_NAME else flag(value)
        except (ValueError, TypeError, SyntaxError) as error:
            raise InvalidInputError(f"{self.label}: {name} {value!r} {error}") from error


def resolve_option(name: str, sources: "list[Source]") -> Any:
    """Return the value of the first source that gives the option, else its default."""
    for source in sources:
        value = source.get(name)
        if value is not None:
            return value
    default = _BY_NAME[name].default
    if callable(default):
        return default()
    return list(default) if isinstance(default, list) else default


def resolve(verb: Verb, sources: "list[Source]") -> dict[str, Any]:
    """Return all options of a verb.

    :param sources: the most particular one, that of the arguments, first.
    :raises InvalidInputError: for a value that the option cannot have.
    """
    return {
        option.name: resolve_option(option.name, sources)
        for option in OPTIONS
        if verb in option.verbs
    }


def check_allowed(verb: Verb, sources: "list[Source]") -> None:
    """Refuse a verb that any source forbids.

    :raises NotAllowedError: naming the source.
    """
    guard = GUARD_OF_VERB.get(verb)
    for source in sources:
        if guard is not None and source.get(guard) is False:
            raise NotAllowedError(f"{verb} is not allowed: {source.label} sets {guard} to false")


def config_of_key(config: str | None, arguments: Source) -> str:
    """Return the config part of a dump key.

    :param config: the named configuration.
    :param arguments: where one changes the content, the dump is not what the configuration says.
    """
    changed = any(
        option.is_content and arguments.values.get(option.name) is not None for option in OPTIONS
    )
    return NO_CONFIG if config is None or changed else config


def options_table() -> str:
    """Return the options as a Markdown table, which the README holds."""
    rows = [
        f"| `{option.name}` | {', '.join(option.verbs) if option.verbs != VERBS else 'all'} "
        f"| {option.shown_default} | {option.help} |"
        for option in OPTIONS
    ]
    return "\n".join(["| Option | Verbs | Default | Meaning |", "|---|---|---|---|", *rows])
