"""Finds columns that look personal, by names, types and samples of rows, and drafts their masks.

The words and patterns that it searches for are in ``vocabulary`` and ``contents``. Values of rows
never leave the server: only counts, paths of known words and names may. What a dump does about a
suspect is decided in ``planning``, not here.
"""

from airflow_provider_pgclone.core.masking.discovery.draft import Proposal, propose
from airflow_provider_pgclone.core.masking.discovery.suspects import find_suspects

__all__ = [
    "Proposal",
    "find_suspects",
    "propose",
]
