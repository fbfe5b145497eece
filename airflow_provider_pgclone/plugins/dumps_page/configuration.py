"""Which stores and targets the page shows: the key ``dumps_page`` of the section."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.settings import DUMPS_PAGE_KEY, SECTION, dumps_page_values

LABEL = f"the key {DUMPS_PAGE_KEY} of the section [{SECTION}]"
_READ_FROM = ("live", "catalog")
Entry = TypeVar("Entry", "Store", "Target")


@dataclass(frozen=True)
class Store:
    """Dumps to show.

    :param dag: the DAG that makes them; whoever may read it sees them.
    :param prefix: whole leading parts of their keys; empty for all dumps of the location.
    :param verify_dag: the DAG that verifies one of them, given ``dump_key``.
    :param read_from: ``live``: the API server reads storage; ``catalog``: it reads what
        PgClonePublishCatalogOperator published.
    """

    name: str
    dag: str
    postgres_conn_id: str | None = None
    storage_location: str | None = None
    storage_conn_id: str | None = None
    config: str | None = None
    prefix: str = ""
    verify_dag: str | None = None
    read_from: str = "live"


@dataclass(frozen=True)
class Target:
    """A database that dumps are restored over.

    :param dag: the DAG that restores over it, given ``dump_key``; whoever may read it sees this.
    :param read_from: as of a store.
    """

    name: str
    dag: str
    database: str
    postgres_conn_id: str | None = None
    config: str | None = None
    read_from: str = "live"


@dataclass(frozen=True)
class PageConfiguration:
    """The stores and targets by name, in the order in which they are written."""

    stores: Mapping[str, Store]
    targets: Mapping[str, Target]

    def store(self, name: str) -> Store:
        """Return a store.

        :raises NotFoundError: when none has the name.
        """
        return _named(self.stores, "store", name)

    def target(self, name: str) -> Target:
        """Return a target.

        :raises NotFoundError: when none has the name.
        """
        return _named(self.targets, "target", name)


def read_configuration() -> PageConfiguration:
    """Return what the page shows; nothing if nothing is configured.

    :raises InvalidInputError: names the entry and what is wrong with it.
    """
    values = dumps_page_values()
    if unknown := sorted(set(values) - {"stores", "targets"}):
        raise InvalidInputError(
            f"{LABEL} has {unknown[0]!r}, which it does not know",
            hint="It takes stores and targets.",
        )
    return PageConfiguration(
        _entries(values.get("stores"), "store", Store),
        _entries(values.get("targets"), "target", Target),
    )


def _entries(values: object, what: str, kind: Callable[..., Entry]) -> dict[str, Entry]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidInputError(f"the {what}s in {LABEL} are not a JSON object")
    return {name: _entry(name, given, what, kind) for name, given in values.items()}


def _entry(name: str, given: object, what: str, kind: Any) -> Any:
    label = f"the {what} {name!r} in {LABEL}"
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"{label} is not a JSON object")
    known = {field.name: field for field in fields(kind) if field.name != "name"}
    for key, value in given.items():
        if key not in known:
            raise InvalidInputError(
                f"{label} has {key!r}, which it does not know",
                hint=f"A {what} takes {', '.join(known)}.",
            )
        if not isinstance(value, str):
            raise InvalidInputError(f"{key} of {label} is {value!r}, which is not a text")
    for key, field in known.items():
        if field.default is MISSING and not given.get(key):
            raise InvalidInputError(f"{label} has no {key}", hint=f"Set its {key}.")
    if given.get("read_from", "live") not in _READ_FROM:
        raise InvalidInputError(
            f"read_from of {label} is {given['read_from']!r}",
            hint=f"It is {' or '.join(_READ_FROM)}.",
        )
    return kind(name=name, **given)


def _named(entries: Mapping[str, Entry], what: str, name: str) -> Entry:
    if name not in entries:
        raise NotFoundError(
            f"the page has no {what} {name!r}", hint=f"Its {what}s are configured in {LABEL}."
        )
    return entries[name]
