"""Tells which entries are one statement and nothing else, so that any session can do it. Pure.

For every other kind pg_restore knows more than its text: what owner, rights or large objects it
has, or what to do if it is there already. ``restore_toc_entry()`` and ``_printTocEntry()`` in
pg_backup_archiver.c are alike for these kinds in all supported versions.
"""

from airflow_provider_pgclone.core.archive import Toc, TocEntry

# They have no owner of their own: _printTocEntry().
_OF_TABLE = ("INDEX", "CONSTRAINT", "FK CONSTRAINT")
_SETUP = ("ENCODING", "SEARCHPATH")
# A session of psycopg fails in these: "encodings" in its documentation.
_UNKNOWN_TO_PSYCOPG = ("EUC_TW", "MULE_INTERNAL")


def plain_ids(toc: Toc) -> frozenset[int]:
    """Return the ids of the entries that are one statement.

    Before pg_dump 10.3 and 9.6.8, statements did not name schemas, and pg_restore set another path
    before each: ``_selectOutputSchema()``. Those archives have no entry for the path.
    """
    setup = {e.description: e.definition for e in toc.entries if e.description in _SETUP}
    encoding = setup.get("ENCODING", "")
    if "SEARCHPATH" not in setup or any(f"'{name}'" in encoding for name in _UNKNOWN_TO_PSYCOPG):
        return frozenset()
    return frozenset(entry.dump_id for entry in toc.entries if _is_plain(entry))


def _is_plain(entry: TocEntry) -> bool:
    if entry.tablespace:  # set for each statement, in _selectTablespace()
        return False
    if entry.description == "TABLE DATA":  # by --inserts it has statements in place of rows
        return entry.has_data and entry.copy_statement.startswith("COPY ")
    return entry.description in _OF_TABLE
