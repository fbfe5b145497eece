"""A restored database that waits for its swap: what works on it, looks at it or drops it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_pgclone.hooks.call import Call

if TYPE_CHECKING:
    import psycopg

    from airflow_provider_pgclone.core.cancellation import Cancellation
    from airflow_provider_pgclone.core.comparing import Comparison
    from airflow_provider_pgclone.core.postgres import Database


class WaitingDatabase:
    """The database that ``restore(swap=False)`` left.

    :ivar name: its name on the server.
    """

    def __init__(self, call: Call, name: str, cancellation: "Cancellation") -> None:
        self.name = name
        self._call = call
        self._cancellation = cancellation

    @contextmanager
    def connect(self) -> "Iterator[psycopg.Connection]":
        """Open a connection of psycopg, in a transaction that a clean end of the block commits.

        Names without a schema are found by the search path of the database or the role.
        """
        from airflow_provider_pgclone.core.postgres import connect

        with connect(self._database(), self._cancellation) as session:
            session.execute("RESET search_path")
            with session.transaction():
                yield session.connection

    def environment(self, beside: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables, such as ``PGHOST``, with which psql connects to it.

        The password is among them.

        :param beside: other variables that psql gets, of which those that name a service are left
            out: what a service of this process says is among the variables returned.
        """
        from airflow_provider_pgclone.core.postgres import without_service

        return {**without_service(beside or {}), **self._database().environment()}

    def check(self, check_sql: Sequence[str]) -> None:
        """Check that each query returns true in it.

        :raises RestoreError: naming the first that does not.
        """
        from airflow_provider_pgclone.core.checking import check_sql as check

        check(self._database(), check_sql, self._cancellation)

    def compare(self) -> "Comparison":
        """Return what its swap would change.

        :return: a value with ``now``, ``after``, ``changes`` of each table, and ``markdown()``.
        """
        from airflow_provider_pgclone.core.compare import compare

        return compare(
            self._call.maintenance, self.name, self._call.storage, cancellation=self._cancellation
        )

    def _database(self) -> "Database":
        """Return the database, if it is one that waits: no other may be changed by its name.

        :raises NotFoundError: when it does not exist.
        :raises InvalidInputError: when it does not wait for a swap.
        """
        from airflow_provider_pgclone.core.postgres import connect
        from airflow_provider_pgclone.core.replacing import ready_marker

        maintenance = self._call.maintenance
        with connect(maintenance, self._cancellation) as session:
            ready_marker(session, self.name)
        return maintenance.named(self.name)
