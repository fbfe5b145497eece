"""Executes the entries of an archive in an empty database.

Some by runs of pg_restore, and those that are one statement by sessions of this process. Everything
about either belongs here: settings, owners and rights, input, and errors. Which entries go when
does not, nor does where their data comes from; see scheduling and loading.
"""

from airflow_provider_pgclone.core.executing.pg_restore import load_entries, load_stream
from airflow_provider_pgclone.core.executing.settings import Loading, LoadOptions, loading_for
from airflow_provider_pgclone.core.executing.sinks import BlockSink, Feed
from airflow_provider_pgclone.core.executing.statements import Sessions, execute_entries

__all__ = [
    "BlockSink",
    "Feed",
    "LoadOptions",
    "Loading",
    "Sessions",
    "execute_entries",
    "load_entries",
    "load_stream",
    "loading_for",
]
