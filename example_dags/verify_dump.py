"""Check every byte of one dump, and note the result beside it.

Lists of dumps show the result, a restore refuses a dump that was found to be damaged, and a prune
never deletes the last good one.

Connections: `prod`, a PostgreSQL connection. The storage location is the one that Airflow's config
section `[pgclone]` or the connection's extra names.
"""

from airflow.sdk import DAG, Param

from airflow_provider_pgclone.operators import PgCloneVerifyOperator

with DAG(
    "verify_dump",
    schedule=None,
    doc_md=__doc__,
    tags=["pgclone"],
    params={
        "dump_key": Param(
            "prod_masked/shop",
            type="string",
            minLength=1,
            title="Dump",
            description="A dump key, or a prefix, which means its newest dump.",
        ),
    },
) as dag:
    PgCloneVerifyOperator(task_id="verify", postgres_conn_id="prod", key="{{ params.dump_key }}")
