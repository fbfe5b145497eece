"""All options, as the arguments of the hook declare them, and the guards of verbs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from airflow_provider_pgclone.options.arguments import (
    ChoiceArguments,
    CopyArguments,
    DumpArguments,
    ListArguments,
    PruneArguments,
    RestoreArguments,
    SwapArguments,
    VerifyArguments,
)
from airflow_provider_pgclone.options.shared import (
    ClientArguments,
    DatabaseArguments,
    MaintenanceArguments,
    Option,
    ReadingArguments,
    ServerArguments,
    StorageArguments,
)

Verb = Literal[
    "dump",
    "ls",
    "restore",
    "swap",
    "copy",
    "drop_temp",
    "prune",
    "test_connection",
    "verify",
    "propose_masks",
    "current",
    "choices",
    "waiting",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
Guard = Literal["allow_dump", "allow_restore", "allow_copy", "allow_prune"]


@dataclass(frozen=True)
class DeclaredOption(Option):
    """An option with its name and its verbs."""

    name: str = field(kw_only=True)
    verbs: tuple[Verb, ...] = field(kw_only=True)


# Those of the hook itself, and the verbs that use them.
_OF_HOOK: Mapping[type, tuple[Verb, ...]] = {
    ServerArguments: VERBS,
    DatabaseArguments: (
        *("dump", "restore", "copy", "test_connection", "propose_masks", "current"),
        "choices",
    ),
    MaintenanceArguments: (
        *("ls", "restore", "swap", "copy", "drop_temp", "prune", "test_connection", "verify"),
        *("current", "choices", "waiting"),
    ),
    StorageArguments: (
        *("dump", "ls", "restore", "prune", "test_connection", "verify", "choices", "waiting"),
    ),
    ClientArguments: ("dump", "restore", "copy", "test_connection", "verify"),
}
# Those of the hook's method of each verb.
_OF_METHOD: Mapping[Verb, type] = {
    "dump": DumpArguments,
    "restore": RestoreArguments,
    "swap": SwapArguments,
    "copy": CopyArguments,
    "ls": ListArguments,
    "choices": ChoiceArguments,
    "verify": VerifyArguments,
    "prune": PruneArguments,
    "propose_masks": ReadingArguments,
}


def options_in(arguments: type) -> dict[str, Option]:
    """Return the options that a TypedDict declares, by name.

    :param arguments: its fields are ``Annotated[type, Option(...)]``.
    """
    hints: dict[str, Any] = get_type_hints(arguments, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def _declared() -> tuple[DeclaredOption, ...]:
    found: dict[str, tuple[Option, list[Verb]]] = {}
    uses = [
        *((arguments, verb) for arguments, verbs in _OF_HOOK.items() for verb in verbs),
        *((arguments, verb) for verb, arguments in _OF_METHOD.items()),
    ]
    for arguments, verb in uses:
        for name, option in options_in(arguments).items():
            declared, verbs = found.setdefault(name, (option, []))
            if declared is not option:
                raise TypeError(f"the option {name} is declared twice")
            verbs.append(verb)
    return tuple(
        DeclaredOption(**vars(option), name=name, verbs=tuple(verbs))
        for name, (option, verbs) in found.items()
    )


OPTIONS = _declared()
BY_NAME: Mapping[str, DeclaredOption] = {option.name: option for option in OPTIONS}
SECRETS: tuple[str, ...] = tuple(option.name for option in OPTIONS if option.is_secret)
HOOK_ARGUMENTS: frozenset[str] = frozenset(
    name for arguments in _OF_HOOK for name in options_in(arguments)
)
METHOD_ARGUMENTS: Mapping[Verb, frozenset[str]] = {
    verb: frozenset(options_in(_OF_METHOD[verb]) if verb in _OF_METHOD else ()) for verb in VERBS
}

# These are not arguments: if one source forbids a verb, no other source can allow it.
GUARDS: Mapping[Guard, str] = {
    "allow_dump": "Whether databases may be dumped.",
    "allow_restore": "Whether databases may be restored over and swapped, and their temporary "
    "databases dropped.",
    "allow_copy": "Whether databases may be copied.",
    "allow_prune": "Whether dumps may be pruned.",
}
GUARD_OF_VERB: Mapping[Verb, Guard] = {
    "dump": "allow_dump",
    "restore": "allow_restore",
    "swap": "allow_restore",
    "drop_temp": "allow_restore",
    "waiting": "allow_restore",
    "copy": "allow_copy",
    "prune": "allow_prune",
}
