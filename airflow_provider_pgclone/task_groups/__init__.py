"""Tasks that belong together: a restore with the user's own tasks before its swap.

They are made of this package's operators. Tasks of one verb are in :mod:`..operators`.
"""

from airflow_provider_pgclone.task_groups.dumps import latest_of, pick
from airflow_provider_pgclone.task_groups.hook_tasks import bash_hook, hook_task, sql_hook
from airflow_provider_pgclone.task_groups.restore import restore_task_group

__all__ = ["bash_hook", "hook_task", "latest_of", "pick", "restore_task_group", "sql_hook"]
