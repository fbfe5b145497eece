"""List dumps."""

from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.operators.base import PgCloneBaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_provider_pgclone.core.repository import Dump
    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneListOperator(PgCloneBaseOperator):
    """Return the dump keys under a prefix, the newest first, or what else ``what`` names.

    The whole list goes into XCom: set ``limit`` if there are many dumps.

    :param prefix: whole leading parts of a key; empty for all dumps.
    :param storage_location: where dumps are stored: ``s3://bucket/prefix/``, ``file:///folder/`` or
        the path of a folder. Default: none; it must be set.
    :param storage_conn_id: the AWS connection for ``s3://`` locations. Default: aws_default.
    :param what: what to list: ``dumps``; the ``instances``, ``databases`` or ``configs`` that have
        dumps; the server's databases as ``local`` keys; or all ``files``, also those that are not
        dumps. Default: ``dumps``.
    :param limit: the largest number of keys to list; no more are read from storage. Default: all;
        100 where a person picks one.
    :param verified: whether to list only verified dumps. Default: False.
    :param masked: whether to list only masked dumps. Default: False.
    :param instances: deprecated: set ``what`` to ``instances``.
    :param databases: deprecated: set ``what`` to ``databases``.
    :param configs: deprecated: set ``what`` to ``configs``.
    :param local: deprecated: set ``what`` to ``local``.
    :param all_files: deprecated: set ``what`` to ``files``.
    :param maintenance_database: the database to connect to while other databases are created,
        renamed and dropped. Default: postgres.
    """

    verb = "ls"
    subjects = ("prefix",)

    def __init__(
        self,
        *,
        prefix: "str | XComArg" = "",
        storage_location: str | None = None,
        storage_conn_id: str | None = None,
        what: str | None = None,
        limit: int | str | None = None,
        verified: bool | str | None = None,
        masked: bool | str | None = None,
        instances: bool | str | None = None,
        databases: bool | str | None = None,
        configs: bool | str | None = None,
        local: bool | str | None = None,
        all_files: bool | str | None = None,
        maintenance_database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())

    def call(self, hook: "PgCloneHook", context: "Context") -> list[str]:
        found: list[Dump] | list[str] = self.call_method(hook)
        keys = [item if isinstance(item, str) else item.key for item in found]
        shown = (key if key.isprintable() else repr(key) for key in keys)  # also names of databases
        self.log.info("%s keys: %s", len(keys), ", ".join(shown))
        return keys
