"""Checks the policy of a dump, so that a column that is added tomorrow does not leak."""

from collections.abc import Sequence

from airflow_provider_pgclone.core.catalog import display_name
from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.discovery import find_suspects
from airflow_provider_pgclone.core.masking.planning.assignment import Assignment
from airflow_provider_pgclone.core.masking.planning.request import Policy
from airflow_provider_pgclone.core.masking.unmasked import LARGE_OBJECTS, UnmaskedObject
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
    _check_secrets(assignment, unmasked)
    if policy == "classified":
        _check_classified(assignment)
    else:
        _check_suspects(session, assignment)


def _check_secrets(assignment: Assignment, unmasked: Sequence[UnmaskedObject]) -> None:
    """Refuse large objects and credentials that are not declared safe by their own names."""
    open_ones = [
        (one, ("pg_catalog", one.secret.place, one.secret.subject))
        for one in unmasked
        if one.secret is not None
    ]
    open_ones = [(one, names) for one, names in open_ones if not assignment.declares_safe(*names)]
    if not open_ones:
        return
    first, names_of_first = open_ones[0]
    if first.what == LARGE_OBJECTS:
        raise InvalidInputError(
            "the database has large objects, which cannot be masked",
            hint="Leave them out with pg_dump_args=['--no-blobs'], or declare "
            f"{display_name(*names_of_first)} safe in keep.",
        )
    declared = ", ".join(dict.fromkeys(display_name(*names) for _, names in open_ones))
    named = ", ".join(f"{one.what} {one.subject}" for one, _ in open_ones[:_MOST_NAMED])
    raise InvalidInputError(
        f"the dump would hold what looks like credentials: {named}",
        hint=f"Remove them from the database, or declare safe in keep: {declared}.",
    )


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
