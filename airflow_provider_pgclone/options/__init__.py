"""Every option, declared once: its reader, default, help and verbs."""

from airflow_provider_pgclone.options.declared import GUARDS, OPTIONS
from airflow_provider_pgclone.options.option import Verb
from airflow_provider_pgclone.options.sources import (
    OptionSource,
    check_allowed,
    config_of_key,
    value_of,
    values_of,
)

__all__ = [
    "GUARDS",
    "OPTIONS",
    "OptionSource",
    "Verb",
    "check_allowed",
    "config_of_key",
    "value_of",
    "values_of",
]
