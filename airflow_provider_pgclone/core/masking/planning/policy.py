"""The policy of a dump: what fails it, so that a column which is added tomorrow does not leak."""

from collections.abc import Sequence

from airflow_provider_pgclone.core.catalog import Catalog, display_name
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.discovery import find_suspects
from airflow_provider_pgclone.core.masking.planning.assignment import (
    Assignment,
    TableAssignment,
)
from airflow_provider_pgclone.core.masking.planning.request import Policy
from airflow_provider_pgclone.core.masking.planning.unmasked import LARGE_OBJECTS, UnmaskedObject
from airflow_provider_pgclone.core.postgres import Session

_MOST_NAMED = 20


def check_policy(
    session: Session,
    policy: Policy | None,
    assignment: Assignment,
    assigned: Sequence[TableAssignment],
    found: Sequence[UnmaskedObject],
) -> None:
    """Refuse what the policy does not allow.

    :param assigned: the tables whose rows the dump holds.
    :param found: what else it holds.
    :raises InvalidInputError: naming the columns that are neither masked nor declared safe.
    """
    if policy is None:
        return
    has_large_objects = any(one.what == LARGE_OBJECTS for one in found)
    if has_large_objects and not assignment.keeps_large_objects:
        raise InvalidInputError(
            "the database has large objects, which cannot be masked",
            hint="Leave them out by pg_dump_args=['--no-blobs'], or declare "
            "pg_catalog.pg_largeobject.data safe in keep.",
        )
    if policy == "classified":
        _check_classified(assignment.catalog, assigned)
    else:
        _check_suspects(session, assignment.catalog, assigned)


def _check_classified(catalog: Catalog, assigned: Sequence[TableAssignment]) -> None:
    names = [
        f"{catalog.root(one.table).display_name}.{display_name(name)}"
        for one in assigned
        for name in one.unclassified
    ]
    _refuse(names, "neither masked nor safe")
    documents = [
        f"{one.table.display_name}.{name}" for one in assigned for name in one.open_documents
    ]
    if documents:
        raise InvalidInputError(
            f"documents of {', '.join(documents[:_MOST_NAMED])} may have keys that no path of "
            "the rule json names",
            hint='Say what becomes of them: {"*": "null"} among the paths, or "keep".',
        )


def _check_suspects(
    session: Session, catalog: Catalog, assigned: Sequence[TableAssignment]
) -> None:
    unclassified = {(one.table.oid, name) for one in assigned for name in one.unclassified}
    suspects = [
        f"{catalog.root(one.table).display_name}.{display_name(one.column.name)} ({one.reason})"
        for one in find_suspects(session, catalog, [one.table for one in assigned])
        if (one.table.oid, one.column.name) in unclassified
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
