"""Option values from Airflow: the config section, named configurations, those of a connection."""

import json
import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from airflow.providers.common.compat.sdk import Variable, conf
from airflow.sdk import Connection

from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError
from airflow_provider_pgclone.options import SECRETS, OptionSource

SECTION = "pgclone"
CONFIGS_KEY = "configs"
CONNECTIONS_KEY = "connections"
DUMPS_PAGE_KEY = "dumps_page"
CONFIGS_VARIABLE = "pgclone_configs"
EXTRA_KEY = "pgclone"
_CONNECTIONS_LABEL = f"the key {CONNECTIONS_KEY} of the section [{SECTION}]"
# How alike two ids are of which one may be meant by the other, such as prod and prd.
_NEAR = 0.75
# Airflow reads an option that is declared sensitive from a command or a secrets backend, too:
# https://airflow.apache.org/docs/apache-airflow/stable/howto/set-config.html
_SENSITIVE = (*SECRETS, CONFIGS_KEY, CONNECTIONS_KEY)
_VARIANTS = ("_cmd", "_secret")
_ENVIRONMENT = f"AIRFLOW__{SECTION.upper()}__"


def section_source() -> OptionSource:
    """Return the options in the section ``[pgclone]`` of Airflow's config.

    :raises UnknownOptionError: when it has a key that is not an option.
    """
    _declare_sensitive()
    values = conf.getsection(SECTION)
    if values is None:
        values = _environment_section()
    for name in _SENSITIVE:
        for variant in _VARIANTS:
            values.pop(f"{name}{variant}", None)
        # As it is written: a section has 0012 as a number.
        values[name] = conf.get(SECTION, name, fallback=None)
    given = {name: value for name, value in values.items() if value not in (None, "")}
    for name in (CONFIGS_KEY, CONNECTIONS_KEY, DUMPS_PAGE_KEY):
        given.pop(name, None)
    source = OptionSource(f"the section [{SECTION}] of Airflow's config", given)
    source.check()
    return source


def configuration_source(name: str | None) -> OptionSource:
    """Return the options of a named configuration; none if no name is given.

    :raises NotFoundError: when the configuration does not exist.
    :raises InvalidInputError: when its name stands for no configuration in keys.
    :raises UnknownOptionError: when it has a key that is not an option.
    """
    if name is None:
        return OptionSource("no configuration", {})
    from airflow_provider_pgclone.core.repository import NO_CONFIG  # which loads the storages

    configurations = {**_section_mapping(CONFIGS_KEY), **_variable_configurations()}
    if name not in configurations:
        known = ", ".join(sorted(configurations)) or "none"
        raise NotFoundError(
            f"the configuration {name!r} does not exist",
            hint=f"The configurations of the Variable {CONFIGS_VARIABLE} and of the key "
            f"{CONFIGS_KEY} in the section [{SECTION}] are: {known}.",
        )
    if name == NO_CONFIG:
        raise InvalidInputError(
            f"no configuration may be named {name!r}: the keys of its dumps would be those of "
            "dumps without a configuration, and a prune would count them together",
            hint="Rename the configuration.",
        )
    source = OptionSource(f"the configuration {name!r}", _mapping(configurations[name], name))
    source.check()
    return source


def connection_sources(connection: Connection) -> list[OptionSource]:
    """Return the options of a connection: in its extra, and in the section under its id.

    :raises UnknownOptionError: when it has a key that is not an option.
    """
    label = f"the extra {EXTRA_KEY!r} of connection {connection.conn_id!r}"
    extra = OptionSource(label, _mapping(connection.extra_dejson.get(EXTRA_KEY) or {}, label))
    extra.check()
    return [extra, source_of_connection_id(connection.conn_id)]


def source_of_connection_id(conn_id: str) -> OptionSource:
    """Return the options that the section gives a connection, whether or not it exists.

    The case of the id does not count: Airflow finds a connection of the environment in any.

    :raises InvalidInputError: when two ids in the section differ in case only.
    :raises UnknownOptionError: when it has a key that is not an option.
    """
    written, values = _connection_options().get(_folded(conn_id), (conn_id, {}))
    label = f"connection {written!r} in {_CONNECTIONS_LABEL}"
    source = OptionSource(label, _mapping(values or {}, label))
    source.check()
    return source


def dumps_page_values() -> dict[str, Any]:
    """Return what the section says of the page of dumps, as it is written."""
    return _section_mapping(DUMPS_PAGE_KEY)


def near_connection_ids(conn_id: str) -> list[str]:
    """Return the ids in the section that are spelled like one, which may have another case."""
    ids = {folded: written for folded, (written, _) in _connection_options().items()}
    if (folded := _folded(conn_id)) in ids:
        return [] if ids[folded] == conn_id else [ids[folded]]
    return [ids[near] for near in get_close_matches(folded, ids, cutoff=_NEAR)]


def is_same_id(conn_id: str, other: str) -> bool:
    """Tell whether Airflow may take two ids for one connection."""
    return _folded(conn_id) == _folded(other)


def _connection_options() -> dict[str, tuple[str, Any]]:
    """Return what the section gives connections, by their folded ids, with each id as written."""
    found: dict[str, tuple[str, Any]] = {}
    for conn_id, values in _section_mapping(CONNECTIONS_KEY).items():
        other, _ = found.setdefault(_folded(conn_id), (conn_id, values))
        if other != conn_id:
            raise InvalidInputError(
                f"{_CONNECTIONS_LABEL} has both {other!r} and {conn_id!r}, which differ in case "
                "only",
                hint="Write the options of both under one id. The case of an id does not count.",
            )
    return found


def _folded(conn_id: str) -> str:
    # As Airflow makes the name of a connection's environment variable.
    return conn_id.upper()


def _declare_sensitive() -> None:
    """Let Airflow 3.1 know the section if a secret of it is in a command or a secrets backend.

    A task of Airflow 3.1 need not have loaded the sections of the providers. Later versions load
    them when they are asked for.
    """
    names = [f"{name}{variant}" for name in _SENSITIVE for variant in _VARIANTS]
    is_given = any(
        f"{_ENVIRONMENT}{name.upper()}" in os.environ or conf.has_option(SECTION, name)
        for name in names
    )
    if is_given and (SECTION, CONFIGS_KEY) not in conf.sensitive_config_values:
        from airflow.providers_manager import ProvidersManager

        manager: Any = ProvidersManager  # which has no types
        manager().initialize_providers_configuration()


def _environment_section() -> dict[str, Any]:
    """Return the section if only environment variables set it.

    Airflow 3.1 does not know the section before it has loaded the sections of the providers, which
    a task need not do. Without this function a guard in the section would be ignored.
    """
    given = [name for name in os.environ if name.startswith(_ENVIRONMENT)]
    names = [name.removeprefix(_ENVIRONMENT).lower() for name in given]
    return {name: conf.get(SECTION, name, fallback=None) for name in names}


def _section_mapping(key: str) -> dict[str, Any]:
    """Return the JSON object in a key of the section."""
    _declare_sensitive()
    text = conf.get(SECTION, key, fallback="")
    return _mapping(text or "{}", f"the key {key} of the section [{SECTION}]")


def _variable_configurations() -> dict[str, Any]:
    text = Variable.get(CONFIGS_VARIABLE, default=None)
    return _mapping(text or "{}", f"the Variable {CONFIGS_VARIABLE}")


def _mapping(value: Any, label: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidInputError(f"{label} is not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{label} is not a JSON object")
    return dict(value)
