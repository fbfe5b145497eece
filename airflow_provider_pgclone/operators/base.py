"""What all operators share: the server, the way errors end a task, and its being killed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.sdk.log import mask_secret

from airflow_provider_pgclone.core.errors import PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_pgclone.hooks import PgCloneHook


class PgCloneBaseOperator(BaseOperator):
    """The arguments that every operator takes; what is left out is looked up as the README says.

    :param postgres_conn_id: the connection of the server.
    :param config: the name of a configuration.
    """

    template_fields: Sequence[str] = ("postgres_conn_id", "config")
    # Hidden in logs and where Airflow shows what was rendered.
    secret_fields: Sequence[str] = ()

    def __init__(
        self,
        *,
        postgres_conn_id: str | None = None,
        config: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.postgres_conn_id = postgres_conn_id
        self.config = config
        self._hook: PgCloneHook | None = None

    def execute(self, context: "Context") -> Any:
        """Call the hook once.

        :raises AirflowFailException: where another try would fail again, so that there is none.
        """
        self._hook = self.make_hook()
        try:
            result = self.call(self._hook, context)
            self._hook.raise_if_cancelled()
            return result
        except PermanentError as error:
            raise AirflowFailException(str(error)) from error

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Render, and refuse what was given and renders to nothing.

        Were it taken for an argument that was not given, a restore would go over the default
        database, and a dump would leave nothing out. Mapped tasks come this way as well.
        """
        given = [name for name in self.template_fields if getattr(parent, name, None) is not None]
        super()._do_render_template_fields(parent, *args, **kwargs)
        for name in self.secret_fields:
            if (value := getattr(parent, name, None)) is not None:
                mask_secret(value)
        for name in given:
            if getattr(parent, name, None) in (None, "None"):
                raise AirflowFailException(f"the argument {name} was rendered to nothing")

    def on_kill(self) -> None:
        """End the children; ``execute`` then raises, since Airflow lets it go on."""
        if self._hook is not None:
            self._hook.cancel()

    def make_hook(self) -> "PgCloneHook":
        """Return the hook with the arguments of this operator that are fields of the hook."""
        from airflow_provider_pgclone.hooks import PgCloneHook

        shared = ("database", "storage_location", "storage_conn_id", "maintenance_database")
        own = [name for name in (*shared, "pg_bin_dir") if hasattr(self, name)]
        return PgCloneHook(
            postgres_conn_id=self.postgres_conn_id, config=self.config, **self.given(*own)
        )

    def given(self, *names: str) -> dict[str, Any]:
        """Return arguments as they were given; a template may have made texts of their values."""
        return {name: getattr(self, name) for name in names}

    def call(self, hook: "PgCloneHook", context: "Context") -> Any:
        """Do the operator's verb."""
        raise NotImplementedError
