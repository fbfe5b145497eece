"""The hook: one method for each verb, from Airflow's values to the core's.

``pgclone`` has the methods. ``call`` looks up the options of a call, asks the guards, and fills
the core's dataclasses. ``connections`` turns Airflow's connections into servers and buckets.
``copying`` chooses the method and the target of a copy. The verbs themselves are in the core.
"""

from airflow_provider_pgclone.hooks.pgclone import PgCloneHook

__all__ = ["PgCloneHook"]
