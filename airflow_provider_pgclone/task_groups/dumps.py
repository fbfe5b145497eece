"""Which dump a group of tasks restores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_pgclone.assets import newest_dump_key

if TYPE_CHECKING:
    from airflow.sdk import Context


@dataclass(frozen=True)
class LatestOf:
    """The newest dump among the asset events that triggered a run."""

    asset: Any
    otherwise: str


@dataclass(frozen=True)
class Pick:
    """The dump that a person picks."""

    prefix: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def latest_of(asset: Any, otherwise: str) -> LatestOf:
    """Take the newest dump among the asset events that triggered the run.

    :param asset: an Asset in the ``outlets`` of the dump, or an alias of it.
    :param otherwise: what to restore in a run that no dump has triggered, such as one by hand: a
        dump key, or a prefix (its newest dump).
    """
    return LatestOf(asset, otherwise)


def pick(prefix: str = "", **arguments: Any) -> Pick:
    """Ask a person for the dump, unless the run was given a ``dump_key``.

    :param prefix: whole leading parts of the keys to choose from; empty for all dumps.
    :param arguments: others of
        :class:`~airflow_provider_pgclone.operators.PgClonePickDumpOperator`.
    """
    return Pick(prefix, arguments)


class LatestDumpOperator(BaseOperator):
    """Return the key of the newest dump that triggered the run, otherwise what was given."""

    template_fields = ("otherwise",)

    def __init__(self, *, asset: Any, otherwise: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.asset = asset
        self.otherwise = otherwise

    def execute(self, context: "Context") -> str:
        return newest_dump_key(context["triggering_asset_events"], self.asset) or self.otherwise
