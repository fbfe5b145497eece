"""Restore a dump over the staging database: pick it, look at the difference, approve the swap.

Press **Trigger** and leave *Dump* empty: the task `pick` then asks for one, by a list of the masked
dumps with their ages and sizes. The task `approve` shows what would change in staging, the rows of
each table now and after, and waits for two hours at most. Before the approval staging is as it was;
a rejection drops the restored database and leaves nothing behind.

**To undo the last restore**, trigger it with `:pre` as the dump: the difference is shown again.

Connections: `staging`, a PostgreSQL connection to the server. Whoever fills the form may type any
database of that server and any dump, so Airflow's config section `[pgclone]` says what is allowed,
in its key `connections`: `{"staging": {"restore_over": ["shop_staging"], "require_masked": true}}`.
The storage location is the one that the section names.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from airflow_provider_pgclone.task_groups import pick, restore_task_group

with DAG(
    "manual_restore",
    schedule=None,
    # A second run would drop what the first one has restored and waits for an approval of.
    max_active_runs=1,
    is_paused_upon_creation=False,  # it runs only when somebody starts it
    doc_md=__doc__,
    tags=["pgclone"],
    params={
        "dump_key": Param(
            None,
            type=["null", "string"],
            title="Dump",
            description="Leave it empty to pick a dump from a list. Or a dump key; or a prefix "
            "such as prod_masked/shop, which means its newest dump; or :pre, the database before "
            "the last reversible restore.",
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
    restore_task_group(
        "restore",
        dump=pick("prod_masked/shop", response_timeout=timedelta(hours=2)),
        approve={"response_timeout": timedelta(hours=2)},
        postgres_conn_id="staging",
        database="{{ params.database }}",
        create_target=False,  # a name that was mistyped
        reversible="{{ params.reversible }}",
    )
