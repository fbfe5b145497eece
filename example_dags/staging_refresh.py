"""Bring each new masked dump to staging, made ready for it before anybody sees it.

The dump is restored beside the staging database. Three tasks work on the restored one, each in
another way, and a check looks at the result; then it takes the place of the old one, which stays as
`:pre`. Where a task fails, the restored database is dropped and staging stays as it is. Of several
dumps that have waited, the newest is taken; a run by hand takes the newest of all. A dump that is
not masked is refused.

Connections: `staging`, a PostgreSQL connection to the staging database. With
`{"staging": {"restore_over": ["shop_staging"]}}` in the key `connections` of Airflow's config
section `[pgclone]` it replaces no other. The storage location is that of the nightly dump. The
worker needs `psql` on PATH.
"""

from typing import Any

from airflow.sdk import DAG, Asset

from airflow_provider_pgclone.task_groups import (
    bash_hook,
    hook_task,
    latest_of,
    restore_task_group,
    sql_hook,
)

MASKED_DUMP = Asset("masked_shop_dump")


@hook_task
def add_test_user(connection: Any) -> None:
    """Add a user to log in with."""
    connection.execute("INSERT INTO users VALUES (0, 'Test user', 'test@example.invalid')")


with DAG(
    "staging_refresh",
    schedule=[MASKED_DUMP],
    max_active_runs=1,
    doc_md=__doc__,
    tags=["pgclone"],
) as dag:
    restore_task_group(
        "refresh",
        dump=latest_of(MASKED_DUMP, otherwise="prod_masked/shop"),
        hooks=[
            sql_hook(
                "use_test_payments", "UPDATE settings SET value = 'test' WHERE name = 'payments'"
            ),
            add_test_user,
            bash_hook("empty_outbox", "psql --no-psqlrc --command 'TRUNCATE outbox'"),
        ],
        checks="SELECT count(*) = 0 FROM users WHERE email NOT LIKE '%@example.invalid'",
        postgres_conn_id="staging",
        require_masked=True,
        reversible=True,
    )
