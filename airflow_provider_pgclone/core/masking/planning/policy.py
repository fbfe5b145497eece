"""Checks the policy of a dump, so that a column that is added tomorrow does not leak."""

from collections.abc import Sequence

from airflow_provider_pgclone.core.catalog import display_name
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.discovery import find_suspects
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment
from airflow_provider_pgclone.core.masking.planning.request import Policy
from airflow_provider_pgclone.core.masking.planning.unmasked import LARGE_OBJECTS, UnmaskedObject
from airflow_provider_pgclone.core.postgres import Session

_MOST_NAMED = 20


def check_policy(
    session: Session,
    policy: Policy | None,
    assignment: Assignment,
    unmasked: Sequence[UnmaskedObject],
) -> None:
    """Refuse a dump that the policy does not allow.

    :param unmasked: objects of the dump that cannot be masked.
    :raises InvalidInputError: naming the columns that are neither masked nor declared safe.
    """
    if policy is None:
        return
    has_large_objects = any(one.what == LARGE_OBJECTS for one in unmasked)
    if has_large_objects and not assignment.keeps_large_objects:
        raise InvalidInputError(
            "the database has large objects, which cannot be masked",
            hint="Leave them out with pg_dump_args=['--no-blobs'], or declare "
            "pg_catalog.pg_largeobject.data safe in keep.",
        )
    if policy == "classified":
        _check_classified(assignment)
    else:
        _check_suspects(session, assignment)


def _check_classified(assignment: Assignment) -> None:
    names = [
        f"{assignment.catalog.root(one.table).display_name}.{display_name(name)}"
        for one in assignment.in_scope
        for name in one.unclassified
    ]
    _refuse(names, "are neither masked nor safe")
    documents = [
        f"{one.table.display_name}.{name}"
        for one in assignment.in_scope
        for name in one.open_documents
    ]
    if documents:
        raise InvalidInputError(
            f"documents of {', '.join(documents[:_MOST_NAMED])} may have keys that no path of "
            "the rule json names",
            hint='Add {"*": "null"} or {"*": "keep"} to the paths.',
        )


def _check_suspects(session: Session, assignment: Assignment) -> None:
    catalog, in_scope = assignment.catalog, assignment.in_scope
    unclassified = {(one.table.oid, name) for one in in_scope for name in one.unclassified}
    suspects = [
        f"{catalog.root(one.table).display_name}.{display_name(one.column.name)} ({one.reason})"
        for one in find_suspects(session, catalog, [one.table for one in in_scope])
        if (one.table.oid, one.column.name) in unclassified
    ]
    _refuse(suspects, "look personal, and are neither masked nor safe")


def _refuse(names: Sequence[str], why: str) -> None:
    if not names:
        return
    names = list(dict.fromkeys(names))  # partitions share the name of their partitioned table
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    raise InvalidInputError(
        f"columns {why}: {', '.join(names[:_MOST_NAMED])}{more}",
        hint="Give each a rule in masks, or declare it safe in keep; mask-plan proposes both.",
    )
