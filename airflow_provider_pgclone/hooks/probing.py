"""A test of a connection: what the server, the storage and the keys of a call allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_pgclone.core.errors import CancelledError, PgCloneError
from airflow_provider_pgclone.hooks.call import Call

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.probe import ProbeResult


def probe(call: Call, cancellation: "Cancellation") -> "list[ProbeResult]":
    """Try out the server, the keys and the storage, for the verbs that are allowed.

    :raises InvalidInputError: for a value that an option of these verbs cannot have.
    """
    from airflow_provider_pgclone.core.catalog import Selection
    from airflow_provider_pgclone.core.probe import (
        ProbeResult,
        Usage,
        probe_server,
        probe_storage,
    )

    name = call.optional("database", str) or call.server.name
    may_restore = call.may_restore or call.may_copy
    dumps, restores = call.of_verb("dump"), call.of_verb("restore")
    usage = call.fill(
        Usage,
        maintenance=call.maintenance,
        database=dumps.database if name else None,
        may_dump=call.may_dump,
        may_restore=may_restore,
        selection=dumps.selection() if call.may_dump else Selection(),
        restore_over=restores.allowed_targets(),
        create_target=restores.value("create_target", bool),
    )
    found = [*probe_server(usage, cancellation), *_probe_keys(call, dumps, restores)]
    if call.options["storage_location"] is None:
        nothing = "no storage_location is configured, so none was tried; dumps need one"
        return [*found, ProbeResult("storage", True, nothing)]
    return [
        *found,
        *probe_storage(call.storage, may_dump=call.may_dump, cancellation=cancellation),
    ]


def _probe_keys(call: Call, dumps: Call, restores: Call) -> "Iterator[ProbeResult]":
    """Yield what is wrong with the keys that dumps and restores need; a good key is not told."""
    from airflow_provider_pgclone.core.archive import check_signing_key, required_signing_key

    failed: list[ProbeResult] = []
    if call.may_dump:
        with _noting(failed, "masks"):
            dumps.masking().check_key()
        with _noting(failed, "signing key"):
            key = dumps.signing_key()
            if key is not None:
                check_signing_key(key)
    if call.may_restore and restores.value("require_signed", bool) and not failed:
        with _noting(failed, "signing key"):
            required_signing_key(restores.signing_key())
    yield from failed


@contextmanager
def _noting(failed: "list[ProbeResult]", name: str) -> Iterator[None]:
    """Note an error of the block as the result of a probe."""
    from airflow_provider_pgclone.core.probe import ProbeResult

    try:
        yield
    except CancelledError:
        raise
    except PgCloneError as error:
        failed.append(ProbeResult(name, False, str(error)))
