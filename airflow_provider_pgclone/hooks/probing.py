"""What a test of a connection looks at, by the options and guards of a call."""

from typing import TYPE_CHECKING

from airflow_provider_pgclone.hooks.calls import Call

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.probe import ProbeResult


def probe_call(call: Call, cancellation: "Cancellation") -> "list[ProbeResult]":
    """Try out the server of a call and its storage, for the verbs that are allowed."""
    from airflow_provider_pgclone.core.probe import ProbeResult, Usage, probe_server, probe_storage

    name = call["database"] or call.server.name
    usage = Usage(
        maintenance=call.maintenance,
        database=call.server.named(name) if name else None,
        may_dump=call.may_dump,
        may_restore=call.may_restore or call.may_copy,
        pg_bin_dir=call["pg_bin_dir"],
    )
    findings = probe_server(usage, cancellation)
    if call["storage_location"] is None:
        nothing = "no storage_location is configured, so none was tried; dumps need one"
        return [*findings, ProbeResult("storage", True, nothing)]
    return [
        *findings,
        *probe_storage(call.storage, may_dump=call.may_dump, cancellation=cancellation),
    ]
