"""The verbs of the hook that are about masks."""

from collections.abc import Sequence

from airflow_provider_pgclone.hooks.base import PgCloneBaseHook
from airflow_provider_pgclone.hooks.calls import PATTERN_OPTIONS


class MaskingVerbs(PgCloneBaseHook):
    """Tell what of a database looks personal."""

    def propose_masks(
        self,
        *,
        exclude: Sequence[str] | None = None,
        schemas: Sequence[str] | None = None,
        exclude_schemas: Sequence[str] | None = None,
    ) -> str:
        """Return a draft of masks for the database, which a person must review.

        Each column gets a rule or ``keep``, with the reason. The rows of each table are sampled
        within PostgreSQL, and no value of them leaves it.

        :param exclude: tables that are left out, as patterns.
        :param schemas: the only schemas to look at, as patterns.
        :param exclude_schemas: schemas that are left out, as patterns.
        :return: YAML, as the option ``masks`` takes it.
        """
        from airflow_provider_pgclone.core.catalog import Selection
        from airflow_provider_pgclone.core.mask_plan import propose_masks

        call = self._resolve(
            "propose_masks", exclude=exclude, schemas=schemas, exclude_schemas=exclude_schemas
        )
        content = Selection(**{name: call[name] for name in PATTERN_OPTIONS})
        return propose_masks(call.database, content, self._cancellation).yaml()
