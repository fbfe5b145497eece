"""A copy as the hook makes it: by which method, to which server, with whose options."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError
from airflow_provider_pgclone.core.replacing import LocalKey
from airflow_provider_pgclone.hooks.calls import CONTENT_OPTIONS, Call, resolve_call

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.progress import ProgressCallback

# What a copy of the server's files has no use for.
STREAM_OPTIONS = (
    *("no_owner", "no_acl", "jobs", "maintenance_work_mem", "publications"),
    *("mask_key", "mask_key_conn_id", "follow_fks", "keep", "require_masked"),
)


def copy_database(
    to: str | None,
    target: str | None,
    arguments: Mapping[str, Any],
    config: str | None,
    *,
    on_progress: "ProgressCallback",
    cancellation: "Cancellation",
) -> LocalKey:
    """Copy a database, and return what the copy has become on its server.

    :param to: a local key; or
    :param target: the name of a database, by default that of the target's connection.
    :param arguments: of the hook and of its method.
    :param config: the name of a configuration.
    """
    call = resolve_call("copy", config, arguments)
    is_elsewhere = call["target_postgres_conn_id"] is not None
    method = call["method"] or ("stream" if is_elsewhere else "template")
    _check_options(call, method, arguments)
    server, key = _resolve_target(call, to, target, arguments, config)
    if method == "stream":
        _copy_by_stream(call, server, key.name, on_progress, cancellation)
    else:
        _copy_by_template(call, key, cancellation)
    return key


def _copy_by_template(call: Call, key: LocalKey, cancellation: "Cancellation") -> None:
    from airflow_provider_pgclone.core.copy import copy_by_template

    copy_by_template(
        call.database,
        call.maintenance,
        key,
        strategy=call["strategy"],
        # What is replaced is gone, as by a restore.
        replace=call["replace"] and call.may_restore,
        wait_seconds=call["wait_seconds"],
        cancellation=cancellation,
    )


def _copy_by_stream(
    call: Call,
    server: Call,
    name: str,
    on_progress: "ProgressCallback",
    cancellation: "Cancellation",
) -> None:
    from airflow_provider_pgclone.core.copy import StreamCopyOptions, copy_by_stream

    copy_by_stream(
        call.database,
        server.server.named(name),
        server.maintenance,
        StreamCopyOptions(
            # What leaves the source is its own affair, and the rest the target's.
            selection=call.selection(),
            masking=call.masking(),
            load=server.load_options(),
            replace=call["replace"] and server["replace"] and server.may_restore,
            require_masked=server["require_masked"],
            wait_seconds=server["wait_seconds"],
        ),
        on_progress=on_progress,
        cancellation=cancellation,
    )


def _resolve_target(
    call: Call, to: str | None, target: str | None, arguments: Mapping[str, Any], config: str | None
) -> tuple[Call, LocalKey]:
    """Return the call for the server that a copy goes to, and what the copy becomes there.

    :param call: for the source.
    :param to: a local key; or
    :param target: the name of a database, by default that of the target's connection.
    :param arguments: of the hook and of its method.
    :param config: the name of a configuration.
    """
    conn_id = call["target_postgres_conn_id"]
    server = call
    if conn_id is not None:
        given = {name: value for name, value in arguments.items() if name != "database"}
        server = resolve_call("copy", config, {**given, "postgres_conn_id": conn_id})
        if to is None and target is None:
            target = server.server.name
    if (to is None) == (not target):
        raise InvalidInputError(
            "a copy needs either a local key or the name of a target",
            hint="Set to, as :name, or target.",
        )
    if conn_id is not None and not call.may_dump:
        raise NotAllowedError(
            "a copy to another server is not allowed: allow_dump of the source is set to false"
        )
    key = LocalKey(target) if target else LocalKey.parse(to or "")
    if to is not None:
        key.check_not_reserved()
    return server, key


def _check_options(call: Call, method: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the method of a copy cannot heed."""
    if method == "template" and call["target_postgres_conn_id"] is not None:
        raise InvalidInputError(
            "a copy by template stays on its server",
            hint="Set method to stream, or leave target_postgres_conn_id out.",
        )
    if method == "template" and any(call[name] for name in CONTENT_OPTIONS):
        raise InvalidInputError(
            "a copy by template is whole, and something is to be left out or masked",
            hint="Set method to stream, or leave exclude, schemas, exclude_schemas, masks, rows "
            "and policy out.",
        )
    others = ("strategy",) if method == "stream" else STREAM_OPTIONS
    for name in others:
        if arguments.get(name) is not None:
            raise InvalidInputError(f"a copy by {method} has no option {name}")
