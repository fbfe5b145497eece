"""Divides an archive into what several sessions and runs of pg_restore restore side by side.

Everything here is pure: it knows how much work the entries of a table of contents are, and which of
them wait for which. Nothing here knows a server or a program.
"""

from airflow_provider_pgclone.core.scheduling.groups import SERIAL_BYTES
from airflow_provider_pgclone.core.scheduling.turns import Turns
from airflow_provider_pgclone.core.scheduling.unit import Unit
from airflow_provider_pgclone.core.scheduling.units import (
    Passes,
    data_order,
    divide,
    entries_of_each_run,
)
from airflow_provider_pgclone.core.scheduling.work import (
    Schedule,
    is_of_event_trigger,
    schedule,
)

__all__ = [
    "SERIAL_BYTES",
    "Passes",
    "Schedule",
    "Turns",
    "Unit",
    "data_order",
    "divide",
    "entries_of_each_run",
    "is_of_event_trigger",
    "schedule",
]
