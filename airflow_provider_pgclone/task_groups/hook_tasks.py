"""Tasks of users that work on a restored database before it is swapped in.

Each gets the database without a word about how: a function gets a connection, SQL is executed, and
a shell script has the variables with which psql connects. The password is in none of the fields
that Airflow shows.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator
from airflow.sdk.log import mask_secret

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.hooks import PgCloneHook

# Variables of libpq that say where to connect and as whom.
_PLACE = frozenset(
    {"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE"}
)
_WHERE = ("postgres_conn_id", "config", "temp_database", "maintenance_database")


@dataclass(frozen=True)
class HookTask:
    """A task on the restored database, which a group makes.

    :param make: makes the operator of the arguments that say which database it is.
    """

    make: Callable[..., BaseOperator]


@overload
def hook_task(function: Callable[..., Any]) -> HookTask: ...


@overload
def hook_task(**arguments: Any) -> Callable[[Callable[..., Any]], HookTask]: ...


def hook_task(
    function: Callable[..., Any] | None = None, **arguments: Any
) -> HookTask | Callable[[Callable[..., Any]], HookTask]:
    """Make a task of a function that works on the restored database.

    The function gets a connection of psycopg as its first argument. What it does is one
    transaction: it is committed when the function returns, and rolled back when it raises. Other
    arguments get the values of these names in the task's context, such as ``params`` or ``ti``.
    What it returns is the task's XCom.

    :param function: its name is the task's.
    :param arguments: those of any operator, such as ``task_id`` or ``retries``.
    """

    def decorate(function: Callable[..., Any]) -> HookTask:
        given = {"task_id": getattr(function, "__name__", "hook"), **arguments}
        given.setdefault("doc_md", inspect.getdoc(function))
        return HookTask(lambda **where: PythonHookOperator(function=function, **given, **where))

    return decorate if function is None else decorate(function)


def sql_hook(task_id: str, sql: str | Sequence[str], **arguments: Any) -> HookTask:
    """Make a task that executes SQL in the restored database, in one transaction.

    :param sql: a text, which may be several statements, or a list of such texts; or the path of a
        file that ends in ``.sql``. Templates are rendered.
    :param arguments: those of any operator, such as ``retries``.
    """
    return HookTask(lambda **where: SqlHookOperator(task_id=task_id, sql=sql, **arguments, **where))


def bash_hook(task_id: str, bash_command: str, **arguments: Any) -> HookTask:
    """Make a task that runs a Bash script, in which ``psql`` is connected to the restored database.

    :param bash_command: a script, as Airflow's BashOperator takes it. ``PGHOST``, ``PGPASSWORD``,
        ``PGDATABASE`` and the like are in its environment.
    :param arguments: others of Airflow's BashOperator. Its ``env`` may set other variables of
        libpq, such as ``PGAPPNAME`` and ``PGOPTIONS``, but not where to connect.
    """
    return HookTask(
        lambda **where: BashHookOperator(
            task_id=task_id, bash_command=bash_command, **arguments, **where
        )
    )


class WaitingOperator(PgCloneBaseOperator):
    """A task on a restored database.

    :param temp_database: the database that a restore with ``swap=False`` left.
    """

    verb = "waiting"
    subjects = ("temp_database",)
    template_fields: Sequence[str] = _WHERE

    def __init__(
        self, *, temp_database: Any, maintenance_database: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.temp_database = temp_database
        self.maintenance_database = maintenance_database


class PythonHookOperator(WaitingOperator):
    """Call a function with a connection to a restored database."""

    def __init__(self, *, function: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._function = function

    def call(self, hook: "PgCloneHook", context: "Context") -> Any:
        _, *names = inspect.signature(self._function).parameters
        wanted: dict[str, Any] = {name: context[name] for name in names}  # type: ignore[literal-required]
        with hook.waiting(self.temp_database).connect() as connection:
            return self._function(connection, **wanted)


class SqlHookOperator(WaitingOperator):
    """Execute SQL in a restored database."""

    template_fields = (*_WHERE, "sql")
    template_ext = (".sql",)
    template_fields_renderers = {"sql": "postgresql"}  # noqa: RUF012 - as in Airflow's operators

    def __init__(self, *, sql: str | Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = sql

    def call(self, hook: "PgCloneHook", context: "Context") -> None:
        texts = [self.sql] if isinstance(self.sql, str) else list(self.sql)
        with hook.waiting(self.temp_database).connect() as connection:
            for text in texts:
                connection.execute(text.encode())


class CheckOperator(WaitingOperator):
    """Fail unless queries are true in a restored database."""

    template_fields = (*_WHERE, "check_sql")

    def __init__(self, *, check_sql: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_sql = check_sql

    def call(self, hook: "PgCloneHook", context: "Context") -> None:
        hook.waiting(self.temp_database).check(self.check_sql)


class DropTempOperator(WaitingOperator):
    """Drop a restored database that was not swapped in."""

    def call(self, hook: "PgCloneHook", context: "Context") -> None:
        hook.drop_temp(self.temp_database)


class BashHookOperator(BashOperator):
    """Run a Bash script with the variables of a restored database in its environment."""

    template_fields = (*BashOperator.template_fields, *_WHERE)

    def __init__(
        self,
        *,
        temp_database: Any,
        postgres_conn_id: str | None = None,
        config: str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"append_env": True, **kwargs})
        self.temp_database = temp_database
        self.postgres_conn_id = postgres_conn_id
        self.config = config
        self.maintenance_database = maintenance_database

    def get_env(self, context: "Context") -> dict[str, str]:
        """Return the environment, with which psql connects to where the package itself does.

        Of what ``env`` sets for libpq, what says where to connect or as whom is left out. The
        worker's own variables stay: where the connection leaves something out, the sessions of this
        package heed them too. The worker's service stays as the variables for what it says.
        """
        from airflow_provider_pgclone.hooks import PgCloneHook

        hook = PgCloneHook(
            self.postgres_conn_id,
            config=self.config,
            maintenance_database=self.maintenance_database,
        )
        own = self.env or {}
        whole: dict[str, str] = super().get_env(context)
        worker = os.environ if self.append_env else {}
        place = {name: worker[name] for name in _PLACE & worker.keys()}
        others = {name: value for name, value in whole.items() if name not in _PLACE}
        found = hook.waiting(self.temp_database).environment(beside={**others, **place})
        if "PGPASSWORD" in found:
            mask_secret(found["PGPASSWORD"])
        given = {name: others[name] for name in own.keys() & others.keys() & found.keys()}
        if left_out := own.keys() - given.keys():
            self.log.warning(
                "The script does not get %s of env: the connection says where psql connects.",
                ", ".join(sorted(left_out)),
            )
        return {**found, **given}
