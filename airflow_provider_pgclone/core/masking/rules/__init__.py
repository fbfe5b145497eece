"""The masking rules: reads them as users write them, and turns them into SQL.

A new rule is declared in ``language`` and built in ``builders``; ``key`` derives secrets from the
mask key. Nothing here opens a session or knows which column of which table gets which rule: that is
the work of ``planning``.
"""

from airflow_provider_pgclone.core.masking.rules.builders import UNIQUE_HASH_CHARS, builder_of
from airflow_provider_pgclone.core.masking.rules.expressions import (
    constant,
    expression,
    keeps_unique,
    needs_key,
    value,
)
from airflow_provider_pgclone.core.masking.rules.json_paths import known_paths, others_of
from airflow_provider_pgclone.core.masking.rules.key import (
    SECRETS,
    check_key,
    check_no_service,
    derived_secrets,
    encrypted,
    with_key,
)
from airflow_provider_pgclone.core.masking.rules.language import (
    Rule,
    parse_rule,
    read_mapping,
    read_masks,
    read_rows,
    without_values,
)

__all__ = [
    "SECRETS",
    "UNIQUE_HASH_CHARS",
    "Rule",
    "builder_of",
    "check_key",
    "check_no_service",
    "constant",
    "derived_secrets",
    "encrypted",
    "expression",
    "keeps_unique",
    "known_paths",
    "needs_key",
    "others_of",
    "parse_rule",
    "read_mapping",
    "read_masks",
    "read_rows",
    "value",
    "with_key",
    "without_values",
]
