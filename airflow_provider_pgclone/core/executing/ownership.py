"""Lets a user who is not a superuser give objects to owners who may not create in their schemas.

ALTER … OWNER TO asks whether the new owner may create objects in the schema, unless a superuser
executes it. pg_restore grants the rights of a dump after that, and an owner may have lost the right
since it created the object. So each owner gets it with the schema, and loses it again before the
rights of the dump are granted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from airflow_provider_pgclone.core.archive import Toc, TocEntry, statement_entry
from airflow_provider_pgclone.core.postgres import quote

PUBLIC = "public"

# The roles that create in a schema while it is loaded, by the name of the schema.
Creators = Mapping[str, tuple[str, ...]]


def creators_of(toc: Toc, user: str, *, with_public: bool) -> Creators:
    """Return the owners of objects who do not own the schema of these, by schema.

    :param toc: the entries that are to be restored.
    :param user: who creates the objects before their owners get them.
    :param with_public: whether the user has the rights of the owner of the schema public, in which
        otherwise everybody may create objects.
    """
    schemas = {entry.tag: entry.owner for entry in toc.entries if entry.description == "SCHEMA"}
    if with_public:
        schemas.setdefault(PUBLIC, "")
    else:
        schemas.pop(PUBLIC, None)
    creators: dict[str, set[str]] = {}
    for entry in toc.entries:
        schema = entry.namespace
        if schema in schemas and entry.gets_owner and entry.owner not in (user, schemas[schema]):
            creators.setdefault(schema, set()).add(entry.owner)
    return {schema: tuple(sorted(roles)) for schema, roles in sorted(creators.items())}


def with_creators(toc: Toc, creators: Creators) -> Toc:
    """Return the table of contents in which owners may create objects until rights are restored."""
    entries = list(_revoking(_granting(toc, creators), creators))
    unused = toc.unused_id
    return replace(
        toc,
        entries=tuple(
            replace(entry, dump_id=unused + number) if entry.dump_id == 0 else entry
            for number, entry in enumerate(entries)
        ),
    )


def _granting(toc: Toc, creators: Creators) -> Iterator[TocEntry]:
    # A new database has it already. An archive may have an entry for it, which then fails.
    if PUBLIC in creators:
        yield statement_entry(0, "SCHEMA", PUBLIC, _grant(PUBLIC, creators))
    for entry in toc.entries:
        if entry.description == "SCHEMA" and entry.tag in creators and entry.tag != PUBLIC:
            # Before pg_restore gives the schema to its owner, whose right it then is to revoke.
            entry = replace(entry, definition=entry.definition + _grant(entry.tag, creators))
        yield entry


def _revoking(entries: Iterator[TocEntry], creators: Creators) -> Iterator[TocEntry]:
    missing = dict.fromkeys(creators)
    for entry in entries:
        kind, _, schema = entry.tag.partition(" ")
        if entry.description == "ACL" and kind == "SCHEMA" and schema in missing:
            del missing[schema]
            entry = replace(entry, definition=_revoke(schema, creators) + entry.definition)
        yield entry
    for schema in missing:
        yield statement_entry(0, "ACL", f"SCHEMA {schema}", _revoke(schema, creators))


def _grant(schema: str, creators: Creators) -> str:
    return f"GRANT CREATE ON SCHEMA {quote(schema)} TO {_listed(schema, creators)};\n"


def _revoke(schema: str, creators: Creators) -> str:
    return f"REVOKE CREATE ON SCHEMA {quote(schema)} FROM {_listed(schema, creators)};\n"


def _listed(schema: str, creators: Creators) -> str:
    return ", ".join(map(quote, creators[schema]))
