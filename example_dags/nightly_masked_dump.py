"""Every night, dump the shop with its users masked: what is personal never leaves its server.

A column that somebody adds tomorrow fails the dump until it is masked or declared safe.

Connections: ``prod``, a PostgreSQL connection to the shop database, and ``mask_key``, one of any
type whose password is the secret by which masks are the same each night. The dump goes to the
storage location that Airflow's config section ``[pgclone]`` names.
"""

from airflow.sdk import DAG, Asset
from pendulum import datetime

from airflow_provider_pgclone.operators import PgCloneDumpOperator

MASKED_DUMP = Asset("masked_shop_dump")
EMAIL = {"email": "example.invalid"}

with DAG(
    "nightly_masked_dump",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["pgclone"],
) as dag:
    PgCloneDumpOperator(
        task_id="dump",
        postgres_conn_id="prod",
        instance="prod_masked",
        masks={
            "public.users": {"name": "name", "email": EMAIL},
            "public.outbox": {"recipient": EMAIL, "subject": "text"},
        },
        keep=["id", "user_id", "public.orders.total", "public.settings.*"],
        policy="classified",
        mask_key_conn_id="mask_key",
        outlets=[MASKED_DUMP],
    )
