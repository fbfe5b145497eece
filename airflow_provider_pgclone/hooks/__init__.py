"""The hook of this provider."""

from airflow_provider_pgclone.hooks.pgclone import PgCloneHook

__all__ = ["PgCloneHook"]
