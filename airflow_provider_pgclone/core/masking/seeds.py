"""The secret numbers by which a hash of PostgreSQL chooses."""

from airflow_provider_pgclone.core.masking.key import SEEDS_SETTING

BIGGEST = 2**63 - 1


def seed(number: int) -> str:
    """Return the SQL of a seed; it is read once a statement, not once a row."""
    return f"(SELECT split_part(current_setting('{SEEDS_SETTING}'), ',', {number + 1})::bigint)"
