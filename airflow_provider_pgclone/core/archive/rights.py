"""Reads the GRANT and REVOKE statements of an archive, and leaves out what cannot be executed.

``buildACLCommands()`` and ``buildDefaultACLCommands()`` in pg_dump's dumputils.c write them: the
right of each role is a statement of its own. Pure.
"""

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from airflow_provider_pgclone.core.archive.toc import Toc, TocEntry

_PUBLIC = "public"  # PostgreSQL allows no role of this name

# Names may contain semicolons and keywords, but only within quotes.
# Possessive: an archive that somebody made could otherwise keep the search busy for years.
_STATEMENT = re.compile(r'(?:"(?:[^"]|"")*+"|[^";])++;\s*')
_TOKEN = re.compile(r'"(?:[^"]|"")*"|[^\s";]+')
_BECOME, _BECOME_AGAIN = "SET SESSION AUTHORIZATION ", "RESET SESSION AUTHORIZATION"
_DATABASE = "DATABASE "
# What ALTER calls them, and what takes more than a word.
_ALTERED = {"FOREIGN SERVER": "SERVER", "FOREIGN DATA WRAPPER": "FOREIGN DATA WRAPPER"}
_UNDONE = "PGCLN"
_OF_LARGE_OBJECTS = "LARGE OBJECTS "
# No name is before it, so no quote.
_LARGE_OBJECT = re.compile(r'([^"]* ON LARGE OBJECT )\d+')


def kept_rights(
    definition: str,
    owner: str,
    *,
    roles: Collection[str],
    own_roles: Collection[str],
    may_become: bool,
) -> tuple[str, frozenset[str]]:
    """Return the statements that can be executed, and the roles of the rights that are left out.

    What is revoked from PUBLIC stays revoked, so that nothing becomes more open.

    :param definition: the statements of one entry of the table of contents.
    :param owner: the owner of the object; without its role, the new owner has its rights anyway.
    :param roles: the roles of the server.
    :param own_roles: those for which the user may change default privileges.
    :param may_become: whether the user may grant in the name of other roles. Otherwise the owner
        grants what another role has granted.
    """
    kept: list[str] = []
    missing: set[str] = set()
    in_name_of = ""
    for statement in _STATEMENT.findall(definition):
        if statement.startswith(_BECOME):
            grantor = _name(_TOKEN.findall(statement)[-1])
            in_name_of = statement if may_become and grantor in roles else ""
            continue
        if statement.startswith(_BECOME_AGAIN):
            in_name_of = ""
            continue
        by, grantee = _roles_of(statement)
        if by is not None and by not in own_roles:
            missing.add(by)
        elif grantee not in (_PUBLIC, None) and grantee not in roles:
            if _is_grant(statement) and grantee != owner:
                missing.add(str(grantee))
        elif in_name_of:
            kept += [in_name_of, statement, f"{_BECOME_AGAIN};\n"]
        else:
            kept.append(statement)
    return "".join(kept), frozenset(missing)


def only_as_owner(definition: str, warning: str) -> str:
    """Return a statement that executes others only if the user owns their object.

    To whoever does not own it, GRANT and REVOKE are errors, or do nothing. To change the owner is
    always an error then. An owner changes nothing by it, and it is undone.

    :param definition: statements about the rights on one object, of which there is one at least.
    :param warning: what the server says where they are not executed, in a text of its own.
    """
    first, *_ = _STATEMENT.findall(definition)
    kind, name = _object_of(first)
    body = f"""
BEGIN
    BEGIN
        ALTER {_ALTERED.get(kind, kind)} {name} OWNER TO CURRENT_USER;
        RAISE EXCEPTION USING ERRCODE = '{_UNDONE}';
    EXCEPTION
        WHEN SQLSTATE '{_UNDONE}' THEN NULL;
        WHEN insufficient_privilege OR undefined_object OR undefined_function OR undefined_table
                OR invalid_schema_name THEN
            RAISE WARNING '{warning}';
            RETURN;
    END;
    {definition.strip()}
END
"""
    tag = next(tag for tag in map("$rights{}$".format, itertools.count()) if tag not in body)
    return f"DO {tag}{body}{tag};\n"


def with_rights_of_each_large_object(toc: Toc) -> Toc:
    """Return an archive in which the rights on large objects are statements for each object.

    From PostgreSQL 17 on, pg_dump writes the rights of the first of some objects that have the same
    rights. pg_restore repeats them for all objects that another entry lists: ``IssueACLPerBlob()``
    in pg_backup_db.c. It fails if its archive lacks the other entry, or if another role than the
    owner has granted a right.
    """
    listed = {e.dump_id: e.definition for e in toc.entries if e.description == "BLOB METADATA"}
    if not listed:
        return toc
    entries = tuple(
        _of_each_large_object(entry, listed[entry.dependencies[0]].split())
        if entry.description == "ACL"
        and entry.tag.startswith(_OF_LARGE_OBJECTS)
        and next(iter(entry.dependencies), None) in listed
        else entry
        for entry in toc.entries
    )
    return replace(toc, entries=entries)


def _of_each_large_object(entry: TocEntry, oids: list[str]) -> TocEntry:
    statements = (
        "".join(f"{found[1]}{oid}{statement[found.end() :]}" for oid in oids)
        if (found := _LARGE_OBJECT.match(statement))
        else statement
        for statement in _STATEMENT.findall(entry.definition)
    )
    # By the plural pg_restore would know an entry that it has to repeat.
    tag = f"LARGE OBJECT {entry.tag.removeprefix(_OF_LARGE_OBJECTS)}"
    return replace(entry, definition="".join(statements), tag=tag)


def rights_on_database(toc: Toc) -> tuple[tuple[str | None, str, bool], ...] | None:
    """Return the rights that an archive grants on its database.

    :return: grantee, privilege or ``ALL``, and whether it may be granted on, of each right; the
        grantee ``None`` is PUBLIC. ``None`` if the archive cannot tell: pg_dump with ``--no-acl``
        writes no rights, and none were ever granted or revoked otherwise.
    """
    described = [entry for entry in toc.entries if entry.description == "DATABASE"]
    rights = [entry for entry in toc.entries if entry.description in ("ACL", "DEFAULT ACL")]
    if not described or not rights:
        return None
    definition = "".join(e.definition for e in rights if e.tag.startswith(_DATABASE))
    # The privileges that everybody has on a new database.
    grants = {(_PUBLIC, "CONNECT"): False, (_PUBLIC, "TEMPORARY"): False}
    for statement in _STATEMENT.findall(definition):
        _, grantee = _roles_of(statement)
        verb, privileges, *_ = _TOKEN.findall(statement)
        if grantee is None:
            continue
        for privilege in privileges.split(","):
            if verb == "GRANT":
                can_grant = statement.rstrip().endswith(" WITH GRANT OPTION;")
                grants[grantee, privilege] = can_grant
            else:
                for one in [one for one in grants if one[0] == grantee]:
                    if privilege in ("ALL", one[1]):
                        del grants[one]
    return tuple(
        (None if grantee == _PUBLIC else grantee, privilege, can_grant)
        for (grantee, privilege), can_grant in grants.items()
    )


def _object_of(statement: str) -> tuple[str, str]:
    """Return the kind and the name of the object whose rights a statement changes."""
    tokens = list(_TOKEN.finditer(statement))
    words = [token[0] for token in tokens]
    start = tokens[words.index("ON")].end()
    last = max(place for place, word in enumerate(words) if word in ("TO", "FROM"))
    described = statement[start : tokens[last].start()].strip()
    kind = next((one for one in _ALTERED if described.startswith(f"{one} ")), "")
    if not kind:
        kind = described.partition(" ")[0]
    return kind, described.removeprefix(kind).strip()


def _is_grant(statement: str) -> bool:
    return "GRANT" in _keywords(statement)


def _roles_of(statement: str) -> tuple[str | None, str | None]:
    """Return the role whose default privileges a statement changes, and its grantee."""
    tokens = _TOKEN.findall(statement)
    by = None
    if tokens[:3] == ["ALTER", "DEFAULT", "PRIVILEGES"] and tokens[3] == "FOR":
        by = _name(tokens[5])
    word = "TO" if _is_grant(statement) else "FROM"
    places = [place for place, token in enumerate(tokens[:-1]) if token == word]
    return by, _name(tokens[places[-1] + 1]) if places else None


def _keywords(statement: str) -> Iterator[str]:
    return (token for token in _TOKEN.findall(statement) if not token.startswith('"'))


def _name(token: str) -> str:
    if token.startswith('"'):
        return token[1:-1].replace('""', '"')
    return token.lower()
