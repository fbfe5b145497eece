"""Which columns look personal, and a draft of masks for them."""

from airflow_provider_pgclone.core.masking.discovery.draft import Proposal, propose
from airflow_provider_pgclone.core.masking.discovery.suspects import find_suspects

__all__ = [
    "Proposal",
    "find_suspects",
    "propose",
]
