"""Swap a restored database in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator
from airflow_provider_pgclone.plugins.links import DumpLink

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneSwapOperator(PgCloneBaseOperator):
    """Swap in a database that a restore with ``swap=False`` left, and return the target's name.

    :param temp_database: the XCom ``temp_database`` of the restore.
    :param restore_over: the only databases that may be replaced or made, as patterns such as
        ``shop_staging*`` in the syntax of Python's fnmatch; if several sources set it, each must
        allow the database. Default: all.
    :param create_target: whether a restore, a swap or a copy by ``stream`` makes its target if no
        database has that name; otherwise it is refused, as a wrong name would be. A swap makes none
        either if its restore may not. Default: True.
    :param wait_seconds: how many seconds to wait while another restore, swap or copy into the same
        database runs, or a dump of a database that the server is to clone or to replace. Default:
        0.0.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "swap"
    subjects = ("temp_database",)
    operator_extra_links = (DumpLink(),)
    dump_key_xcom = "dump_key"

    def __init__(
        self,
        *,
        temp_database: "str | XComArg",
        restore_over: Sequence[str] | str | None = None,
        create_target: bool | str | None = None,
        wait_seconds: float | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> str:
        target: str = self.call_method(hook)
        context["ti"].xcom_push(key=self.dump_key_xcom, value=hook.swapped_key)
        return target
