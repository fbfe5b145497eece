"""A call of the hook: its options, looked up, and the server and storage that they name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.hooks.connections import (
    DEFAULT_AWS_CONN_ID,
    get_connection,
    s3_access_of,
    server_of,
)
from airflow_provider_pgclone.options import (
    OptionSource,
    Verb,
    check_allowed,
    config_of_key,
    value_of,
    values_of,
)
from airflow_provider_pgclone.settings import (
    configuration_source,
    connection_source,
    section_source,
)

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.catalog import Selection
    from airflow_provider_pgclone.core.loading import LoadOptions
    from airflow_provider_pgclone.core.masking.planning import Masking
    from airflow_provider_pgclone.core.postgres import Database
    from airflow_provider_pgclone.core.storage import Storage

PATTERN_OPTIONS = ("exclude", "schemas", "exclude_schemas")
MASK_OPTIONS = ("masks", "rows", "follow_fks", "keep", "policy")
# What a copy of a server's files cannot heed.
CONTENT_OPTIONS = (*PATTERN_OPTIONS, "masks", "rows", "policy")


@dataclass(frozen=True)
class Call:
    """A verb with its options, resolved, and the server that it is for."""

    options: Mapping[str, Any]
    config_of_key: str
    may_dump: bool
    may_restore: bool
    may_copy: bool
    server: "Database"

    def __getitem__(self, name: str) -> Any:
        return self.options[name]

    @property
    def database(self) -> "Database":
        """The database of the option, else the connection's."""
        name = self.options["database"] or self.server.name
        if not name:
            raise InvalidInputError(
                "no database: neither the argument nor the connection names one",
                hint="Set database, or the schema of the connection.",
            )
        return self.server.named(name)

    @property
    def maintenance(self) -> "Database":
        return self.server.named(self.options["maintenance_database"])

    def storage(self) -> "Storage":
        """Open where dumps are kept.

        :raises InvalidInputError: when no location was given.
        """
        from airflow_provider_pgclone.core.storage import open_storage

        location = self["storage_location"]
        if location is None:
            raise InvalidInputError(
                "no storage location was given",
                hint="Set storage_location in the call, a configuration, the connection's extra or "
                "the section [pgclone] of Airflow's config.",
            )
        return open_storage(location, lambda: s3_access_of(self["storage_conn_id"]))

    def selection(self, **more: Any) -> "Selection":
        """Return which part of the database is read."""
        from airflow_provider_pgclone.core.catalog import Selection

        patterns = {name: self[name] for name in PATTERN_OPTIONS}
        return Selection(**patterns, **more)

    def masking(self) -> "Masking":
        from airflow.sdk.log import mask_secret

        from airflow_provider_pgclone.core.masking.planning import Masking
        from airflow_provider_pgclone.core.masking.rules import derived_secrets

        key = self["mask_key"]
        if key is None and self["mask_key_conn_id"] is not None:
            key = get_connection(self["mask_key_conn_id"]).password
            if not key:
                raise InvalidInputError(
                    f"the connection {self['mask_key_conn_id']!r} has no password, which is to be "
                    "the mask key"
                )
        if key is not None:
            for secret in (key, *derived_secrets(key)):
                mask_secret(secret)
        return Masking(**{name: self[name] for name in MASK_OPTIONS}, key=key)

    def load_options(self) -> "LoadOptions":
        """Return how a database is loaded."""
        from airflow_provider_pgclone.core.loading import LoadOptions

        return LoadOptions(**{field.name: self[field.name] for field in fields(LoadOptions)})


def resolve_call(verb: Verb, config: str | None, arguments: Mapping[str, Any]) -> Call:
    """Look up each option of a verb, and refuse the verb where it is not allowed.

    :param config: the name of a configuration.
    :param arguments: of the hook and of its method; ``None`` means not given.
    """
    given = OptionSource("the arguments", arguments)
    configuration, section = configuration_source(config), section_source()
    conn_id = value_of("postgres_conn_id", [given, configuration, section])
    connection = get_connection(conn_id)
    extra = connection_source(connection)
    options = values_of(verb, [given, configuration, extra, section])
    options["postgres_conn_id"] = conn_id
    if "require_masked" in options:  # what one source requires, no other lifts
        sources = [given, configuration, extra, section]
        options["require_masked"] = any(one.get("require_masked") for one in sources)
    guards = [configuration, extra, section, *_storage_guards(options)]
    check_allowed(verb, guards)
    return Call(
        options,
        config_of_key(config, given),
        may_dump=all(source.get("allow_dump") is not False for source in guards),
        may_restore=all(source.get("allow_restore") is not False for source in guards),
        may_copy=all(source.get("allow_copy") is not False for source in guards),
        server=server_of(connection),
    )


def _storage_guards(options: Mapping[str, Any]) -> list[OptionSource]:
    """Return what the connection of a bucket forbids."""
    location, conn_id = options.get("storage_location"), options.get("storage_conn_id")
    if conn_id is None or not (location or "").startswith("s3://"):
        return []
    try:
        return [connection_source(get_connection(conn_id))]
    except NotFoundError:
        if conn_id != DEFAULT_AWS_CONN_ID:
            raise
        return []  # boto3 finds its own way
