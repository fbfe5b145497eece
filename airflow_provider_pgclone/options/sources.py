"""Which source of a value wins, and what no source can allow."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnknownOptionError,
)
from airflow_provider_pgclone.options.declared import (
    BY_NAME,
    GUARD_OF_VERB,
    GUARDS,
    OPTIONS,
    Verb,
)
from airflow_provider_pgclone.options.values import flag


@dataclass(frozen=True)
class OptionSource:
    """A source of values.

    :param label: names the source in errors.
    :param values: the values by the names of their options; ``None`` means not given.
    """

    label: str
    values: Mapping[str, Any]

    def check(self) -> None:
        """Refuse names that are not options.

        :raises UnknownOptionError: naming the first of them.
        """
        for name in self.values:
            if name not in BY_NAME and name not in GUARDS:
                names = [*(option.name for option in OPTIONS if not option.instead), *GUARDS]
                meant = [f"Did you mean {near}?" for near in get_close_matches(name, names, n=1)]
                raise UnknownOptionError(
                    f"{self.label} has the unknown option {name!r}",
                    hint=" ".join([*meant, f"The options are {', '.join(names)}."]),
                )

    def get(self, name: str) -> Any:
        """Return the value of an option or a guard, ``None`` if it is not given.

        :raises InvalidInputError: for a value that the option cannot have.
        """
        value = self.values.get(name)
        if value is None:
            return None
        option = BY_NAME.get(name)
        try:
            return flag(value) if option is None else option.read(value)
        except (ValueError, TypeError, SyntaxError) as error:
            if option is not None and option.is_secret:
                raise InvalidInputError(f"{self.label}: {name} {error}") from None
            raise InvalidInputError(f"{self.label}: {name} {value!r} {error}") from error

    def deprecations(self, verb: Verb) -> list[str]:
        """Return a sentence about each deprecated option of a verb that this source gives."""
        return [
            f"{self.label}: the option {option.name} is deprecated; "
            f"use {option.instead[0]}={option.instead[1]!r}"
            for option in OPTIONS
            if verb in option.verbs and option.instead and self.values.get(option.name) is not None
        ]


def value_of(name: str, sources: Sequence[OptionSource]) -> Any:
    """Return the value from the first source that gives the option, otherwise its default."""
    for source in sources:
        value = source.get(name)
        if value is not None:
            return value
    default = BY_NAME[name].default
    return default() if callable(default) else copy(default)


def values_of(verb: Verb, sources: Sequence[OptionSource]) -> dict[str, Any]:
    """Return the values of all options of a verb.

    :param sources: the arguments come first, then each source before the more general ones.
    :raises InvalidInputError: for a value that the option cannot have.
    """
    return {
        option.name: value_of(option.name, sources) for option in OPTIONS if verb in option.verbs
    }


def check_allowed(verb: Verb, sources: Sequence[OptionSource]) -> None:
    """Refuse a verb that any source forbids.

    :raises NotAllowedError: naming the source.
    """
    guard = GUARD_OF_VERB.get(verb)
    for source in sources:
        if guard is not None and source.get(guard) is False:
            raise NotAllowedError(f"{verb} is not allowed: {source.label} sets {guard} to false")
