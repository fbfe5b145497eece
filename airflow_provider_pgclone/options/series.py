"""The config part of a dump key: which dumps of a database have the same content by intent."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.options import values
from airflow_provider_pgclone.options.declared import OPTIONS, DeclaredOption
from airflow_provider_pgclone.options.sources import OptionSource, value_of

_HASH_DIGITS = 8


def config_of_key(config: str | None, sources: Sequence[OptionSource]) -> str:
    """Return the config part of a dump key.

    It is the name of the configuration. But dumps whose arguments change the content are a series
    of their own, which a prune counts alone and which a prefix can name. Its part has a hash of the
    configuration's name and of these arguments.

    :param config: the named configuration.
    :param sources: the arguments come first.
    """
    from airflow_provider_pgclone.core.repository import NO_CONFIG  # which loads the storages

    arguments = sources[0].values
    changing = [option for option in OPTIONS if option.is_content and _changes(option, sources)]
    if not changing:
        return NO_CONFIG if config is None else config
    written = {option.name: _as_written(option, arguments[option.name]) for option in changing}
    kind = "masked" if written.get("masks") else "partial" if any(written.values()) else "whole"
    return f"{kind}-{_digest([config, written])}"


def _changes(option: DeclaredOption, sources: Sequence[OptionSource]) -> bool:
    """Tell whether an argument gives another value than the option has without it."""
    given = sources[0].get(option.name)
    if given is None:
        return False
    try:
        return bool(given != value_of(option.name, sources[1:]))
    except InvalidInputError:  # the others do not give any, such as by a file that does not exist
        return True


def _as_written(option: DeclaredOption, value: Any) -> Any:
    """Return the value of an argument without what a version of this package makes of it."""
    if option.read in (values.masks, values.rows):
        return values.mapping(value)
    read = option.read(value)
    return sorted(read) if isinstance(read, list) else read


def _digest(value: Any) -> str:
    text = json.dumps(_in_order(value), default=repr)
    return sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _in_order(value: Any) -> Any:
    """Return a value in which mappings are lists, by their keys: equal values give equal texts."""
    if isinstance(value, Mapping):
        pairs = [[str(key), _in_order(one)] for key, one in value.items()]
        return sorted(pairs, key=lambda pair: str(pair[0]))
    return [_in_order(one) for one in value] if isinstance(value, list | tuple) else value
