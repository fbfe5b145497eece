"""Every option, declared once, and where its value comes from.

``arguments`` and ``shared`` declare the options: a field of a TypedDict is an option with its type,
reader, default and help. ``declared`` collects them, ``values`` has the readers, ``sources`` says
which source of a value wins, and ``series`` names the dumps that arguments set apart. What the
values mean is a matter of the core.

Each operator also names its options in its ``__init__``, since Airflow reads them there; a test
compares them, and ``tests/support/programs/write_options.py`` writes their ``:param`` lines.
"""

from airflow_provider_pgclone.options.arguments import (
    ChoiceArguments,
    CopyArguments,
    DumpArguments,
    DumpFilters,
    ListArguments,
    NameKinds,
    PruneArguments,
    RestoreArguments,
    SwapArguments,
    VerifyArguments,
)
from airflow_provider_pgclone.options.declared import (
    BY_NAME,
    GUARD_OF_VERB,
    GUARDS,
    HOOK_ARGUMENTS,
    METHOD_ARGUMENTS,
    OPTIONS,
    SECRETS,
    VERBS,
    DeclaredOption,
    Verb,
    options_in,
)
from airflow_provider_pgclone.options.series import config_of_key
from airflow_provider_pgclone.options.shared import (
    LoadingArguments,
    MaskingArguments,
    Option,
    ReadingArguments,
    SelectionArguments,
)
from airflow_provider_pgclone.options.sources import (
    OptionSource,
    check_allowed,
    value_of,
    values_of,
)

__all__ = [
    "BY_NAME",
    "GUARDS",
    "GUARD_OF_VERB",
    "HOOK_ARGUMENTS",
    "METHOD_ARGUMENTS",
    "OPTIONS",
    "SECRETS",
    "VERBS",
    "ChoiceArguments",
    "CopyArguments",
    "DeclaredOption",
    "DumpArguments",
    "DumpFilters",
    "ListArguments",
    "LoadingArguments",
    "MaskingArguments",
    "NameKinds",
    "Option",
    "OptionSource",
    "PruneArguments",
    "ReadingArguments",
    "RestoreArguments",
    "SelectionArguments",
    "SwapArguments",
    "Verb",
    "VerifyArguments",
    "check_allowed",
    "config_of_key",
    "options_in",
    "value_of",
    "values_of",
]
