"""The policy of a dump: what fails it, so that a column which is added tomorrow does not leak."""

from collections.abc import Sequence

import psycopg

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.catalog import CatalogTable
from airflow_provider_pgclone.core.masking.reported import LARGE_OBJECTS, Finding
from airflow_provider_pgclone.core.masking.request import Policy
from airflow_provider_pgclone.core.masking.resolving import Resolved, open_documents, unclassified
from airflow_provider_pgclone.core.masking.suspects import find_suspects
from airflow_provider_pgclone.core.patterns import shown_name

_MOST_NAMED = 20


def check_policy(
    connection: psycopg.Connection,
    policy: Policy | None,
    resolved: Resolved,
    tables: Sequence[CatalogTable],
    found: Sequence[Finding],
) -> None:
    """Refuse what the policy does not allow.

    :param tables: those whose rows the dump holds.
    :param found: what else it holds.
    :raises InvalidInputError: naming the columns that are neither masked nor declared safe.
    """
    if policy is None:
        return
    catalog = resolved.catalog
    opened = list(unclassified(resolved, tables))
    if any(one.what == LARGE_OBJECTS for one in found) and not _keeps_large_objects(resolved):
        raise InvalidInputError(
            "the database has large objects, which cannot be masked",
            hint="Leave them out by pg_dump_args=['--no-blobs'], or declare "
            "pg_catalog.pg_largeobject.data safe in keep.",
        )
    if policy == "classified":
        names = [f"{catalog.root(table).label}.{shown_name(name)}" for table, name in opened]
        _refuse(names, "neither masked nor safe")
        documents = [f"{table.label}.{name}" for table, name in open_documents(resolved, tables)]
        if documents:
            raise InvalidInputError(
                f"documents of {', '.join(documents[:_MOST_NAMED])} may have keys that no path of "
                "the rule json names",
                hint='Say what becomes of them: {"*": "null"} among the paths, or "keep".',
            )
        return
    places = {(table.oid, name) for table, name in opened}
    suspects = [
        f"{catalog.root(one.table).label}.{shown_name(one.column.name)} ({one.reason})"
        for one in find_suspects(connection, catalog, tables)
        if (one.table.oid, one.column.name) in places
    ]
    _refuse(suspects, "look personal, and are neither masked nor safe")


def _refuse(names: Sequence[str], why: str) -> None:
    if not names:
        return
    names = list(dict.fromkeys(names))  # of a partitioned table once
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    verb = "" if why.startswith("look") else "are "
    raise InvalidInputError(
        f"columns {verb}{why}: {', '.join(names[:_MOST_NAMED])}{more}",
        hint="Give each a rule in masks, or declare it safe in keep; mask-plan proposes both.",
    )


def _keeps_large_objects(resolved: Resolved) -> bool:
    return any(p.matches("pg_catalog", "pg_largeobject", "data") for p in resolved.keep)
