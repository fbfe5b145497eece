"""Publish what stores and targets hold, for the page Dumps."""

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_pgclone.core.errors import PermanentError

if TYPE_CHECKING:
    from airflow.sdk import Context


class PgClonePublishCatalogOperator(BaseOperator):
    """Publish what stores and targets of the page Dumps hold, and return how many dumps of each.

    For an API server that may not reach storage or servers itself: give each such store and target
    of the key ``dumps_page`` the value ``"read_from": "catalog"``, and run this on a worker that
    has the same configuration. Each is published as an Airflow Variable of at most 256 KB: the
    newest 1,000 dumps, and the tables of the newest 25.

    :param store: the only store to publish. Default: all that are read from the catalogue, and
        all such targets.
    """

    template_fields = ("store",)

    def __init__(self, *, store: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.store = store

    def execute(self, context: "Context") -> dict[str, int]:
        """Publish, and return the number of published dumps by the name of their store.

        :raises AirflowFailException: when another try would fail again.
        """
        from airflow_provider_pgclone.plugins.dumps_page.publishing import publish

        try:
            return publish(self.store)
        except PermanentError as error:
            self.log.error("%s", error)
            failure = AirflowFailException(error.message)
        raise failure
