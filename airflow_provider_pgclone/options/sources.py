"""In which order the values of options are looked for, and what no source may allow."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnknownOptionError,
)
from airflow_provider_pgclone.core.repository import NO_CONFIG
from airflow_provider_pgclone.options.declared import BY_NAME, GUARD_OF_VERB, GUARDS, OPTIONS
from airflow_provider_pgclone.options.option import Verb
from airflow_provider_pgclone.options.values import flag


@dataclass(frozen=True)
class OptionSource:
    """Where values come from.

    :param label: names it in errors.
    :param values: option names and values; ``None`` means not given.
    """

    label: str
    values: Mapping[str, Any]

    def check(self) -> None:
        """Refuse names that are no option.

        :raises UnknownOptionError: naming the first of them.
        """
        for name in self.values:
            if name not in BY_NAME and name not in GUARDS:
                raise UnknownOptionError(
                    f"{self.label} has the unknown option {name!r}",
                    hint=f"The options are {', '.join([*BY_NAME, *GUARDS])}.",
                )

    def get(self, name: str) -> Any:
        """Return the value of an option, ``None`` where it is not given."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            return BY_NAME[name].parse(value) if name in BY_NAME else flag(value)
        except (ValueError, TypeError, SyntaxError) as error:
            if name in BY_NAME and BY_NAME[name].is_secret:
                raise InvalidInputError(f"{self.label}: {name} {error}") from None
            raise InvalidInputError(f"{self.label}: {name} {value!r} {error}") from error


def value_of(name: str, sources: "list[OptionSource]") -> Any:
    """Return the value of the first source that gives the option, else its default."""
    for source in sources:
        value = source.get(name)
        if value is not None:
            return value
    default = BY_NAME[name].default
    if callable(default):
        return default()
    return copy(default)


def values_of(verb: Verb, sources: "list[OptionSource]") -> dict[str, Any]:
    """Return all options of a verb.

    :param sources: the most particular one, that of the arguments, first.
    :raises InvalidInputError: for a value that the option cannot have.
    """
    return {
        option.name: value_of(option.name, sources) for option in OPTIONS if verb in option.verbs
    }


def check_allowed(verb: Verb, sources: "list[OptionSource]") -> None:
    """Refuse a verb that any source forbids.

    :raises NotAllowedError: naming the source.
    """
    guard = GUARD_OF_VERB.get(verb)
    for source in sources:
        if guard is not None and source.get(guard) is False:
            raise NotAllowedError(f"{verb} is not allowed: {source.label} sets {guard} to false")


def config_of_key(config: str | None, arguments: OptionSource) -> str:
    """Return the config part of a dump key.

    :param config: the named configuration.
    :param arguments: where one changes the content, the dump is not what the configuration says.
    """
    changed = any(
        option.is_content and arguments.values.get(option.name) is not None for option in OPTIONS
    )
    return NO_CONFIG if config is None or changed else config
