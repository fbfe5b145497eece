"""A call of the hook: its options, looked up, and the server and storage that they name."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.exceptions import AirflowProviderDeprecationWarning

from airflow_provider_pgclone.core.errors import InvalidInputError, NotAllowedError, NotFoundError
from airflow_provider_pgclone.hooks.connections import (
    DEFAULT_AWS_CONN_ID,
    get_connection,
    s3_access_of,
    server_of,
    warn_if_misspelled,
)
from airflow_provider_pgclone.options import (
    BY_NAME,
    HOOK_ARGUMENTS,
    METHOD_ARGUMENTS,
    OPTIONS,
    OptionSource,
    Verb,
    check_allowed,
    config_of_key,
    value_of,
    values_of,
)
from airflow_provider_pgclone.settings import (
    configuration_source,
    connection_sources,
    section_source,
    source_of_connection_id,
)

if TYPE_CHECKING:
    from airflow_provider_pgclone.core.catalog import Selection
    from airflow_provider_pgclone.core.executing import LoadOptions
    from airflow_provider_pgclone.core.masking.planning import Masking
    from airflow_provider_pgclone.core.postgres import Database
    from airflow_provider_pgclone.core.replacing import AllowedTargets
    from airflow_provider_pgclone.core.repository import DumpKey
    from airflow_provider_pgclone.core.storage import Storage
    from airflow_provider_pgclone.core.verify import Level

Value = TypeVar("Value")
# What the deprecated flags of a listing stand for, as values of the option what.
_KIND_OF_FLAG = {
    option.name: option.instead[1]
    for option in OPTIONS
    if option.instead and option.instead[0] == "what"
}
# From resolve_call() to the caller of a method of the hook.
_STACK_LEVEL = 4


@dataclass(frozen=True)
class Call:
    """A verb with the values of its options, and the server that it is for.

    :param options: the values of the verb's options, by name.
    :param sources: where these values come from, the most particular one first.
    :param guards: what may forbid the verb or its target; the arguments are not among them.
    :param config: the name of the configuration.
    :param may_dump: whether no source forbids dumps; the others likewise.
    """

    options: Mapping[str, Any]
    sources: Sequence[OptionSource]
    guards: Sequence[OptionSource]
    config: str | None
    may_dump: bool
    may_restore: bool
    may_copy: bool
    server: "Database"

    def value(self, name: str, kind: type[Value]) -> Value:
        """Return the value of an option that cannot be ``None``.

        :param kind: the type that the option's reader returns.
        """
        value = self.options[name]
        if not isinstance(value, kind):
            raise TypeError(f"the option {name} is a {type(value).__name__}, not {kind.__name__}")
        return value

    def optional(self, name: str, kind: type[Value]) -> Value | None:
        """Return the value of an option that may be ``None``."""
        return None if self.options[name] is None else self.value(name, kind)

    def fill(self, options_class: type[Value], **more: Any) -> Value:
        """Make one of the core's dataclasses of the options that have the names of its fields.

        :param more: the values of its other fields, and those that differ from the options.
        :raises KeyError: for a field that is neither an option of the verb nor in ``more``.
        """
        made: Any = options_class
        names = [field.name for field in fields(made) if field.name not in more]
        filled: Value = made(**{name: self.options[name] for name in names}, **more)
        return filled

    @property
    def database(self) -> "Database":
        """The database of the option, otherwise the connection's."""
        name = self.optional("database", str) or self.server.name
        if not name:
            raise InvalidInputError(
                "no database was given, and the connection does not name one",
                hint="Set database, or the schema of the connection.",
            )
        trusted = tuple(self.options.get("trusted_owners", ()))
        return replace(self.server.named(name), trusted_owners=trusted)

    @property
    def maintenance(self) -> "Database":
        return self.server.named(self.value("maintenance_database", str))

    def new_key(self) -> "DumpKey":
        """Return the key of a dump that starts now."""
        from airflow_provider_pgclone.core.repository import DumpKey

        return DumpKey.new(
            instance=self.optional("instance", str) or self.value("postgres_conn_id", str),
            database=self.database.name,
            config=config_of_key(self.config, self.sources),
            created_at=datetime.now(UTC),
        )

    def storage(self) -> "Storage":
        """Open the storage of dumps.

        :raises InvalidInputError: when no location was given.
        """
        from airflow_provider_pgclone.core.storage import open_storage

        location = self.optional("storage_location", str)
        if location is None:
            raise InvalidInputError(
                "no storage location was given",
                hint="Set storage_location in the call, in a configuration, or in the section "
                "[pgclone] of Airflow's config, for all connections or for this one by its key "
                "connections.",
            )
        return open_storage(location, lambda: s3_access_of(self.value("storage_conn_id", str)))

    def selection(self) -> "Selection":
        """Return which part of the database is read."""
        from airflow_provider_pgclone.core.catalog import Selection

        return self.fill(Selection, pg_dump_args=self.options.get("pg_dump_args", ()))

    def masking(self) -> "Masking":
        """Return how rows are masked; Airflow's log hides the key and what is derived from it."""
        from airflow.sdk.log import mask_secret

        from airflow_provider_pgclone.core.masking.planning import Masking
        from airflow_provider_pgclone.core.masking.rules import derived_secrets

        key = self._secret("mask_key", self.sources)
        for secret in [] if key is None else derived_secrets(key):
            mask_secret(secret)
        return self.fill(Masking, key=key)

    def signing_key(self) -> str | None:
        """Return the secret that signs dumps; Airflow's log hides it."""
        sources = self.sources
        if "require_signed" in self.options:  # not for a dump, which takes the nearest key
            # Whoever requires signatures says by which key: another must not be put in its place.
            requiring = [n for n, one in enumerate(sources) if one.get("require_signed")]
            sources = sources[max(requiring, default=0) :]
        return self._secret("signing_key", sources)

    def _secret(self, name: str, sources: Sequence[OptionSource]) -> str | None:
        """Return a secret option, or the password of the connection that another names.

        The nearest source that gives one of the two decides. Airflow's log hides the secret.

        :raises InvalidInputError: when it gives both, or the connection has no password.
        """
        from airflow.sdk.log import mask_secret

        by_connection = f"{name}_conn_id"
        given = next(
            (one for one in sources if (one.get(name) or one.get(by_connection)) is not None), None
        )
        if given is None:
            return None
        secret: str | None = given.get(name)
        conn_id: str | None = given.get(by_connection)
        if secret is not None and conn_id is not None:
            raise InvalidInputError(
                f"{given.label}: {name} and {by_connection} are both given",
                hint="Give one of them: the secret itself, or the connection whose password it is.",
            )
        if conn_id is not None:
            secret = get_connection(conn_id).password
            if not secret:
                raise InvalidInputError(
                    f"the connection {conn_id!r} has no password to use as the "
                    f"{name.replace('_', ' ')}"
                )
        if secret is not None:
            mask_secret(secret)
        return secret

    def load_options(self) -> "LoadOptions":
        """Return how rows are loaded."""
        from airflow_provider_pgclone.core.executing import LoadOptions

        return self.fill(LoadOptions)

    def allowed_targets(self) -> "AllowedTargets":
        """Return which databases may be replaced or made; each source can only narrow it."""
        from airflow_provider_pgclone.core.replacing import AllowedTargets

        arguments, *_ = self.sources
        given = {one.label: one.get("restore_over") for one in (arguments, *self.guards)}
        return AllowedTargets({label: names for label, names in given.items() if names is not None})

    def level(self) -> "Level":
        """Return the level of a verification.

        :raises NotAllowedError: when it restores, and a source forbids that.
        """
        level: Level = "restore" if self.options["level"] == "restore" else "archive"
        if level == "restore" and not self.may_restore:
            raise NotAllowedError(
                "a verification by restore is not allowed: allow_restore is set to false"
            )
        return level

    def what(self) -> str:
        """Return what to list, by the option ``what`` or by one of the flags that it replaced.

        The first source that gives one of these decides.

        :raises InvalidInputError: for two kinds, or for a filter that the kind does not have.
        """
        what = _kind_to_list(self.sources)
        filters = [name for name in ("verified", "masked") if self.options[name]]
        if filters and what != "dumps":
            raise InvalidInputError(
                f"{' and '.join([what, *filters])} cannot be listed together",
                hint="Only dumps are verified or masked.",
            )
        return what

    def of_verb(self, verb: Verb) -> "Call":
        """Return this call with the options of another verb, which no guard has been asked about.

        :raises InvalidInputError: for a value that an option of the verb cannot have.
        """
        return replace(self, options=_options_of(verb, self.sources, self.guards))


def resolve_call(
    verb: Verb,
    config: str | None,
    of_hook: Mapping[str, Any],
    of_method: Mapping[str, Any],
    *,
    warns: bool = True,
) -> Call:
    """Look up each option of a verb, and refuse the verb if it is not allowed.

    :param config: the name of a configuration.
    :param of_hook: the arguments of the hook; ``None`` means not given.
    :param of_method: the arguments of its method.
    :param warns: whether deprecated options cause a warning.
    :raises TypeError: for an argument that the method does not have.
    """
    for name in of_method:
        if name not in METHOD_ARGUMENTS[verb]:
            raise TypeError(
                f"PgCloneHook.{verb}() got an unexpected keyword argument {name!r}"
                f"{_meant(name, METHOD_ARGUMENTS[verb])}"
            )
    given = OptionSource("the arguments", {**of_hook, **of_method})
    configuration, section = configuration_source(config), section_source()
    conn_id = value_of("postgres_conn_id", [given, configuration, section])
    connection = get_connection(conn_id)
    warn_if_misspelled(conn_id)
    of_connection = connection_sources(connection)
    sources = [given, configuration, *of_connection, section]
    options = values_of(verb, sources)
    options["postgres_conn_id"] = conn_id
    guards = [configuration, *of_connection, section, *_storage_guards(options)]
    options |= _requirements(verb, [given, *guards])
    for source in sources if warns else ():
        for text in source.deprecations(verb):
            warnings.warn(text, AirflowProviderDeprecationWarning, stacklevel=_STACK_LEVEL)
    check_allowed(verb, guards)
    return Call(
        options,
        sources,
        guards,
        config,
        may_dump=all(source.get("allow_dump") is not False for source in guards),
        may_restore=all(source.get("allow_restore") is not False for source in guards),
        may_copy=all(source.get("allow_copy") is not False for source in guards),
        server=server_of(connection),
    )


def check_texts(subjects: Mapping[str, object]) -> None:
    """Refuse what a template has made of another type than a text."""
    for name, value in subjects.items():
        if not isinstance(value, str):
            raise InvalidInputError(f"{name} is {value!r}", hint=f"Give {name} as a text.")


def _meant(name: str, arguments: Collection[str]) -> str:
    """Return the end of an error about an argument that a method does not have."""
    if name in HOOK_ARGUMENTS:
        return f"; PgCloneHook() itself has {name}"
    near = get_close_matches(name, sorted(arguments), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _options_of(
    verb: Verb, sources: Sequence[OptionSource], guards: Sequence[OptionSource]
) -> dict[str, Any]:
    given, *_ = sources
    return {**values_of(verb, sources), **_requirements(verb, [given, *guards])}


def _requirements(verb: Verb, sources: Sequence[OptionSource]) -> dict[str, bool]:
    """Return what is required of dumps: if one source requires it, no other can lift it."""
    names = ("require_masked", "require_signed")
    return {
        name: any(one.get(name) for one in sources) for name in names if verb in BY_NAME[name].verbs
    }


def _kind_to_list(sources: Sequence[OptionSource]) -> str:
    lifted: set[str] = set()  # flags that a more particular source sets to false
    for source in sources:
        flags = {name: source.get(name) for name in _KIND_OF_FLAG if name not in lifted}
        what = source.get("what")
        given = [name for name, value in flags.items() if value]
        given += [f"what={what!r}"] if what is not None else []
        if len(given) > 1:
            raise InvalidInputError(
                f"{source.label}: {' and '.join(given)} cannot be listed together",
                hint="Set what alone.",
            )
        if given:
            return str(what) if what is not None else _KIND_OF_FLAG[given[0]]
        lifted |= {name for name, value in flags.items() if value is False}
    return "dumps"


def _storage_guards(options: Mapping[str, Any]) -> list[OptionSource]:
    """Return the sources of the guards of the connection of a bucket."""
    from airflow_provider_pgclone.core.storage import is_bucket

    location, conn_id = options.get("storage_location"), options.get("storage_conn_id")
    if conn_id is None or location is None or not is_bucket(location):
        return []
    try:
        found = connection_sources(get_connection(conn_id))
        warn_if_misspelled(conn_id)
        return found
    except NotFoundError:
        if conn_id != DEFAULT_AWS_CONN_ID:
            raise
        return [source_of_connection_id(conn_id)]  # boto3 finds its own way
