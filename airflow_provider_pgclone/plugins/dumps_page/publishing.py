"""Publishes the stores and targets that are configured to be read from the catalogue."""

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.visible import get_log
from airflow_provider_pgclone.plugins.dumps_page.catalog import publish_store, publish_target
from airflow_provider_pgclone.plugins.dumps_page.configuration import LABEL, read_configuration
from airflow_provider_pgclone.plugins.dumps_page.sources import hook_of

log = get_log(__name__)


def publish(store: str | None) -> dict[str, int]:
    """Publish, and return the number of published dumps by the name of their store.

    :param store: the only store to publish; ``None`` for all stores and targets.
    :raises InvalidInputError: when there is nothing to publish.
    """
    configuration = read_configuration()
    named = [configuration.store(store)] if store else configuration.stores.values()
    stores = [one for one in named if one.read_from == "catalog"]
    targets = [one for one in configuration.targets.values() if one.read_from == "catalog"]
    targets = [] if store else targets
    if not stores and not targets:
        what = f"the store {store!r} is not" if store else "no store or target is"
        raise InvalidInputError(
            f"{what} read from the catalogue", hint=f'Set "read_from": "catalog" in {LABEL}.'
        )
    published = {one.name: publish_store(one.name, one.prefix, hook_of(one)) for one in stores}
    for name, count in published.items():
        log.info("published %d dumps of the store %r", count, name)
    for target in targets:
        publish_target(target.name, hook_of(target))
        log.info("published what the target %r holds", target.name)
    return published
