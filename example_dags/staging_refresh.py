"""Bring each new masked dump to staging, made ready for it before anybody sees it.

The dump is restored beside the staging database. Three tasks work on the restored one, each in
another way; then it takes the place of the old one, which stays as ``:pre``. Where a task fails,
the restored database is dropped and staging stays as it is. Of several dumps that have waited, the
newest is taken; a run by hand takes the newest of all. A dump that is not masked is refused.

Connections: ``staging``, a PostgreSQL connection to the staging database. With
``{"staging": {"restore_over": ["shop_staging"]}}`` in the key ``connections`` of Airflow's config
section ``[pgclone]`` it replaces no other. The storage location is that of the nightly dump. The
worker needs ``psql`` on PATH.
"""

from typing import Any

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, task

from airflow_provider_pgclone.assets import newest_dump_key
from airflow_provider_pgclone.operators import PgCloneRestoreOperator, PgCloneSwapOperator

MASKED_DUMP = Asset("masked_shop_dump")
TEMP_DATABASE = "{{ ti.xcom_pull(task_ids='restore', key='temp_database') }}"


@task
def choose_dump(triggering_asset_events: Any = None) -> str:
    """Return the key of the dump that triggered the run, else the prefix of all such dumps."""
    return newest_dump_key(triggering_asset_events, MASKED_DUMP) or "prod_masked/shop"


@task
def add_test_user(database: str) -> None:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = PostgresHook(postgres_conn_id="staging", database=database)
    hook.run("INSERT INTO users VALUES (0, 'Test user', 'test@example.invalid')")


@task(trigger_rule="one_failed")
def drop_temp(database: str) -> None:
    from airflow_provider_pgclone.hooks import PgCloneHook

    PgCloneHook(postgres_conn_id="staging").drop_temp(database)


with DAG(
    "staging_refresh",
    schedule=[MASKED_DUMP],
    max_active_runs=1,
    doc_md=__doc__,
    tags=["pgclone"],
) as dag:
    restore = PgCloneRestoreOperator(
        task_id="restore",
        postgres_conn_id="staging",
        key="{{ ti.xcom_pull(task_ids='choose_dump') }}",
        require_masked=True,
        swap=False,
        reversible=True,
    )
    payments = SQLExecuteQueryOperator(
        task_id="use_test_payments",
        conn_id="staging",
        database=TEMP_DATABASE,
        sql="UPDATE settings SET value = 'test' WHERE name = 'payments'",
    )
    test_user = add_test_user(TEMP_DATABASE)
    outbox = BashOperator(
        task_id="empty_outbox",
        bash_command="psql --no-psqlrc --set ON_ERROR_STOP=1 --command 'TRUNCATE outbox'",
        env={
            "PGHOST": "{{ conn.staging.host }}",
            "PGPORT": "{{ conn.staging.port or 5432 }}",
            "PGUSER": "{{ conn.staging.login }}",
            "PGPASSWORD": "{{ conn.staging.password }}",
            "PGDATABASE": TEMP_DATABASE,
        },
        append_env=True,
    )
    swap = PgCloneSwapOperator(
        task_id="swap", postgres_conn_id="staging", temp_database=TEMP_DATABASE
    )

    choose_dump() >> restore >> payments >> test_user >> outbox >> swap
    # Not after the swap: as the only last task, its success would make that of the run.
    [payments, test_user, outbox] >> drop_temp(TEMP_DATABASE)
