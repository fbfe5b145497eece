"""Every night, dump the shop without the names and emails of its users, wherever they are.

The dump is made from an anonymized copy, so that production is neither changed nor dumped as it is.
The copy is made by stream, which ends no session on production.
That needs a second database of that size, and is for what SQL has to say of many rows at once;
nightly_masked_dump needs none. A copy that a killed run has left is dropped first, so that the
guard ``allow_restore``, without which no copy replaces a database, may be false for ``prod``.

Connections: ``prod``, a PostgreSQL connection to the shop database, for which ``allow_copy`` must
not be false. The dump goes to the storage
location that Airflow's config section ``[pgclone]`` names.
"""

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Asset, task
from pendulum import datetime

from airflow_provider_pgclone.operators import PgCloneCopyOperator, PgCloneDumpOperator

COPY = "shop_anonymized"
DROP_COPY = f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)"
ANONYMIZED_DUMP = Asset("anonymized_shop_dump")


@task
def check_anonymized() -> None:
    """Fail if a real email is left, so that no dump is made."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = PostgresHook(postgres_conn_id="prod", database=COPY)
    (left,) = hook.get_first(
        "SELECT count(*) "
        "FROM (SELECT email FROM users UNION ALL SELECT recipient FROM outbox) AS mails "
        "WHERE email NOT LIKE '%@example.invalid'"
    )
    if left:
        raise ValueError(f"{left} real emails are left")


with DAG(
    "nightly_anonymized_dump",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["pgclone"],
) as dag:
    copy = PgCloneCopyOperator(
        task_id="copy", postgres_conn_id="prod", to=f":{COPY}", method="stream"
    )
    anonymize = SQLExecuteQueryOperator(
        task_id="anonymize",
        conn_id="prod",
        database=COPY,
        sql=[
            "UPDATE users SET name = 'User ' || id, email = 'user' || id || '@example.invalid'",
            "UPDATE outbox SET recipient = 'user' || id || '@example.invalid'",
        ],
    )
    dump = PgCloneDumpOperator(
        task_id="dump",
        postgres_conn_id="prod",
        database=COPY,
        outlets=[ANONYMIZED_DUMP],
    )
    drop_old_copy = SQLExecuteQueryOperator(
        task_id="drop_old_copy", conn_id="prod", sql=DROP_COPY, autocommit=True
    )
    # A teardown runs whatever failed before it, and the run fails all the same.
    drop_copy = SQLExecuteQueryOperator(
        task_id="drop_copy", conn_id="prod", sql=DROP_COPY, autocommit=True
    ).as_teardown(setups=copy)

    drop_old_copy >> copy >> anonymize >> check_anonymized() >> dump >> drop_copy
