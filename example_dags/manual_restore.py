"""Restore a dump over the staging database, chosen in the form of Airflow's Trigger button.

Connections: ``staging``, a PostgreSQL connection to the server. Whoever fills the form may type any
database of that server and any dump, so Airflow's config section ``[pgclone]`` says what is
allowed, in its key ``connections``:
``{"staging": {"restore_over": ["shop_staging"], "require_masked": true}}``. The storage location is
the one that the section names.
"""

from airflow.sdk import DAG, Param

from airflow_provider_pgclone.operators import PgCloneRestoreOperator

with DAG(
    "manual_restore",
    schedule=None,
    doc_md=__doc__,
    tags=["pgclone"],
    params={
        "key": Param(
            "prod_masked/shop",
            type="string",
            minLength=1,
            title="Dump key",
            description="A dump key, or a prefix such as prod_masked/shop, which means its newest "
            "dump; :pre is the database before the last reversible restore.",
        ),
        "database": Param(
            "shop_staging",
            type="string",
            minLength=1,
            title="Database",
            description="The database to restore over, which must exist.",
        ),
        "reversible": Param(
            True,
            type="boolean",
            title="Reversible",
            description="Keep the database before the restore of a dump as :pre and after it as "
            ":post. The restore of a local key, such as :pre, is never reversible.",
        ),
    },
) as dag:
    PgCloneRestoreOperator(
        task_id="restore",
        postgres_conn_id="staging",
        key="{{ params.key }}",
        database="{{ params.database }}",
        create_target=False,  # a name that was mistyped
        reversible="{{ params.reversible }}",
    )
