"""Every night, dump the shop, and delete the dumps that are no longer needed.

Kept are the newest dump of each of the last 7 days, 4 weeks and 12 months.

Connections: ``prod``, a PostgreSQL connection to the shop database. The dumps are in the storage
location that Airflow's config section ``[pgclone]`` names.
"""

from airflow.sdk import DAG
from pendulum import datetime

from airflow_provider_pgclone.operators import PgCloneDumpOperator, PgClonePruneOperator

with DAG(
    "nightly_dump",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    tags=["pgclone"],
) as dag:
    dump = PgCloneDumpOperator(task_id="dump", postgres_conn_id="prod")
    prune = PgClonePruneOperator(
        task_id="prune",
        postgres_conn_id="prod",
        prefix="prod/shop",
        keep_daily=7,
        keep_weekly=4,
        keep_monthly=12,
    )

    dump >> prune
