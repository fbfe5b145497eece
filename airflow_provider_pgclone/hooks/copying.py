"""A copy as the hook makes it: by which method, to which server, with whose options."""

from collections.abc import Container
from typing import TYPE_CHECKING

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnsupportedError,
)
from airflow_provider_pgclone.hooks.call import Call
from airflow_provider_pgclone.options import (
    LoadingArguments,
    MaskingArguments,
    SelectionArguments,
    options_in,
)

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.progress import ProgressCallback
    from airflow_provider_pgclone.core.replacing import LocalKey

# What a copy by template refuses, because it cannot leave anything out or mask it.
_CONTENT = (*options_in(SelectionArguments), "masks", "rows", "policy")
# The options of a copy by stream alone.
_STREAM = tuple(
    name
    for name in (
        *options_in(LoadingArguments),
        *options_in(MaskingArguments),
        *("analyze", "trusted_owners", "require_masked", "create_target"),
    )
    if name not in _CONTENT  # an empty one lifts what a configuration or an extra sets
)


def check_options(call: Call, given: Container[str]) -> None:
    """Refuse options that the method of a copy cannot follow.

    :param given: the names of the arguments that are not ``None``.
    :raises InvalidInputError: naming the option.
    :raises UnsupportedError: when only masked copies are allowed, and the method cannot mask.
    """
    method = _method(call)
    if method == "template" and call.options["target_postgres_conn_id"] is not None:
        raise InvalidInputError(
            "a copy by template stays on its server",
            hint="Set method to stream, or leave target_postgres_conn_id out.",
        )
    if method == "template" and any(call.options[name] for name in _CONTENT):
        raise InvalidInputError(
            "a copy by template is whole, but an option says to leave out or mask something",
            hint=f"Set method to stream, or leave these out: {', '.join(_CONTENT)}.",
        )
    if method == "template" and call.options["require_masked"]:
        raise UnsupportedError(
            "a copy by template masks nothing, and require_masked allows masked copies only",
            hint="Set method to stream, and give masks.",
        )
    other = "template" if method == "stream" else "stream"
    for name in ("strategy",) if method == "stream" else _STREAM:
        if name in given:
            raise InvalidInputError(
                f"a copy by {method} has no option {name}",
                hint=f"Set method to {other}, or leave {name} out.",
            )


def choose_key(source: Call, server: Call, to: str | None, target: str | None) -> "LocalKey":
    """Return what a copy becomes on its server.

    :param source: the call for the source.
    :param server: the call for the server that the copy goes to.
    :param to: a local key; or
    :param target: the name of a database, by default that of the target's connection.
    """
    from airflow_provider_pgclone.core.replacing import LocalKey

    is_elsewhere = server is not source
    if is_elsewhere and to is None and target is None:
        target = server.server.name
    if (to is None) == (not target):
        raise InvalidInputError(
            "a copy needs either a local key or the name of a target",
            hint="Set to, as :name, or target.",
        )
    if is_elsewhere and not source.may_dump:
        raise NotAllowedError(
            "a copy to another server is not allowed: allow_dump of the source is set to false"
        )
    key = LocalKey(target) if target else LocalKey.parse(to or "")
    if to is not None:
        key.check_not_reserved()
    return key


def copy_database(
    source: Call,
    server: Call,
    key: "LocalKey",
    *,
    on_progress: "ProgressCallback",
    cancellation: "Cancellation",
    report_seconds: float,
) -> None:
    """Copy the database of a call.

    :param source: the call for the source.
    :param server: the call for the server that the copy goes to.
    :param key: what the copy becomes there.
    """
    if _method(source) == "stream":
        _copy_by_stream(source, server, key.name, on_progress, cancellation, report_seconds)
    else:
        _copy_by_template(source, key, cancellation)


def _method(call: Call) -> str:
    is_elsewhere = call.options["target_postgres_conn_id"] is not None
    return call.optional("method", str) or ("stream" if is_elsewhere else "template")


def _copy_by_template(call: Call, key: "LocalKey", cancellation: "Cancellation") -> None:
    from airflow_provider_pgclone.core.copy import copy_by_template

    why_not = _why_not_replace(call, call)
    copy_by_template(
        call.database,
        call.maintenance,
        key,
        strategy=call.optional("strategy", str),
        replace=not why_not,
        why_not_replace=why_not,
        restore_over=call.allowed_targets(),
        wait_seconds=call.value("wait_seconds", float),
        cancellation=cancellation,
    )


def _copy_by_stream(
    source: Call,
    server: Call,
    name: str,
    on_progress: "ProgressCallback",
    cancellation: "Cancellation",
    report_seconds: float,
) -> None:
    from airflow_provider_pgclone.core.copy import StreamCopyOptions, copy_by_stream

    why_not = _why_not_replace(source, server)
    copy_by_stream(
        source.database,
        server.server.named(name),
        server.maintenance,
        server.fill(
            StreamCopyOptions,
            # Options about what is read come from the source's connection, the others from the
            # target's.
            selection=source.selection(),
            masking=source.masking(),
            load=server.load_options(),
            restore_over=server.allowed_targets(),
            require_masked=source.value("require_masked", bool)
            or server.value("require_masked", bool),
            replace=not why_not,
            why_not_replace=why_not,
        ),
        on_progress=on_progress,
        cancellation=cancellation,
        report_seconds=report_seconds,
    )


def _why_not_replace(source: Call, server: Call) -> str:
    """Return what does not let the copy replace a database, empty if it may.

    A replaced database is gone, as it is after a restore.
    """
    for guard in server.guards:
        if guard.get("allow_restore") is False:
            return f"allow_restore is set to false by {guard.label}"
    for call in (source, server):
        if not call.value("replace", bool):
            label = next(one.label for one in call.sources if one.get("replace") is not None)
            return f"replace is set to false by {label}"
    return ""
