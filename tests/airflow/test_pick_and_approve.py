"""A person picks a dump and approves its swap, as Airflow asks and answers it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_pgclone.core.errors import PgCloneError
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.operators import PgClonePickDumpOperator
from example_dags.demo import shop
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.answers import (
    APPROVE,
    NEVER,
    REJECT,
    Answer,
    Question,
    answering,
    take,
)
from tests.support.fixtures.databases import Server
from tests.support.fixtures.shop import masked_dump, states


def orders(server: Server) -> Any:
    return server.value(shop.STAGING, "SELECT count(*) FROM orders")


def pick_and(answer: Answer, key: str) -> Any:
    def answered(question: Question) -> Answer:
        return take(key) if question.task_id.endswith("pick") else answer

    return answered


@pytest.fixture
def manual_restore(example_dags: "dict[str, DAG]") -> DAG:
    return example_dags["manual_restore"]


def test_pick_look_approve_and_undo(manual_restore: DAG, shop_server: Server) -> None:
    older = masked_dump()
    shop_server.run(shop.PRODUCTION, "DELETE FROM orders WHERE id > 1000")
    newer = masked_dump()
    PgCloneHook("prod").dump(instance="prod_masked")  # not masked
    damaged = masked_dump()
    storage = Path(os.environ["AIRFLOW__PGCLONE__STORAGE_LOCATION"])
    with (storage / damaged).open("r+b") as file:
        file.truncate(1000)

    with answering(pick_and(APPROVE, older)) as asked:
        run: Any = manual_restore.test()

    assert run.state == "success"
    pick, approval = asked
    assert list(pick.choices) == [newer, older]
    assert len(set(pick.choices.values())) == 2
    assert all("masked" in label for label in pick.choices.values())
    assert "| public.orders | 90 | 2,000 | +1,910 |" in approval.body
    assert orders(shop_server) == 2000
    assert states(run)["restore.drop_temp"] == "success"

    with answering(lambda question: APPROVE) as asked:
        undo: Any = manual_restore.test(run_conf={"dump_key": ":pre"})

    assert undo.state == "success"
    (approval,) = asked
    assert "| public.orders | 2,000 | 90 | -1,910 |" in approval.body
    assert orders(shop_server) == 90


def test_a_rejection_leaves_nothing_and_skips_the_swap(
    manual_restore: DAG, shop_server: Server
) -> None:
    key, before = masked_dump(), shop_server.names()
    with answering(lambda question: REJECT):
        run: Any = manual_restore.test(run_conf={"dump_key": key})
    assert run.state == "success"
    assert states(run) == {
        "restore.pick": "success",
        "restore.restore": "success",
        "restore.approve": "success",
        "restore.swap": "skipped",
        "restore.drop_temp": "success",
    }
    assert shop_server.names() == before
    assert orders(shop_server) == 90


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("prod/shop", "is not under the prefix 'prod_masked/shop'"),
        ("prod_masked/shop/none/2020-01-01-00-00-00-000000.dump", "does not exist"),
        ("prod_masked/shop", "is not masked"),
        (":pre", "the local database 'shop_staging__pre' does not exist"),
        (":shop", "not a dump under the prefix"),
    ],
)
def test_a_wrong_answer_fails_before_anything_is_restored(
    manual_restore: DAG,
    shop_server: Server,
    given: str,
    said: str,
) -> None:
    masked_dump()
    PgCloneHook("prod").dump()
    PgCloneHook("prod").dump(instance="prod_masked")
    before = shop_server.names()
    run: Any = manual_restore.test(run_conf={"dump_key": given})
    assert run.state == "failed"
    assert states(run)["restore.pick"] == "failed"
    assert states(run)["restore.restore"] == "upstream_failed"
    assert shop_server.names() == before
    with pytest.raises(PgCloneError, match=said):
        PgCloneHook("staging").choices("prod_masked/shop").check(given)


def test_an_answer_outside_of_the_list_is_checked_too(
    manual_restore: DAG, shop_server: Server
) -> None:
    masked_dump()
    other = PgCloneHook("prod").dump()
    before = shop_server.names()
    with answering(pick_and(APPROVE, other)):
        run: Any = manual_restore.test()
    assert states(run)["restore.pick"] == "failed"
    assert shop_server.names() == before


def test_without_a_dump_to_pick_the_task_says_so(
    manual_restore: DAG,
    shop_server: Server,
) -> None:
    PgCloneHook("prod").dump(instance="prod_masked")
    run: Any = manual_restore.test()
    assert states(run)["restore.pick"] == "failed"
    said = "no masked dump that can be restored is under the prefix 'prod_masked/shop'"
    with pytest.raises(PgCloneError, match=said):
        PgCloneHook("staging").choices("prod_masked/shop").list()


@pytest.mark.parametrize("database", [shop.PRODUCTION, "shop_stagin"])
@pytest.mark.parametrize("is_given", [False, True])
def test_a_database_that_is_not_staging_is_refused_before_anybody_is_asked(
    manual_restore: DAG, shop_server: Server, database: str, *, is_given: bool
) -> None:
    """Production is on the server of the staging connection."""
    key, before = masked_dump(), shop_server.names()
    conf = {"database": database, **({"dump_key": key} if is_given else {})}
    with answering(pick_and(APPROVE, key)) as asked:
        run: Any = manual_restore.test(run_conf=conf)
    assert states(run)["restore.pick"] == "failed"
    assert asked == []
    assert shop_server.names() == before
    assert orders(shop_server) == 90


def test_where_nobody_answers_in_time_the_restored_database_is_dropped(
    shop_server: Server, airflow_database: None
) -> None:
    from airflow_provider_pgclone.task_groups import restore_task_group

    key, before = masked_dump(), shop_server.names()
    with DAG(f"times_out_{os.urandom(4).hex()}", schedule=None) as dag:
        restore_task_group(
            "restore",
            dump=key,
            approve={"response_timeout": timedelta(seconds=1)},
            postgres_conn_id="staging",
        )
    with answering(lambda question: NEVER):
        run: Any = serialized(dag).test()
    assert run.state == "failed"
    assert states(run)["restore.approve"] == "failed"
    assert states(run)["restore.swap"] == "upstream_failed"
    assert shop_server.names() == before


def test_the_list_has_the_newest_dumps_alone(shop_server: Server, airflow_database: None) -> None:
    keys = [masked_dump() for _ in range(3)]
    with DAG(f"picks_{os.urandom(4).hex()}", schedule=None) as dag:
        PgClonePickDumpOperator(task_id="pick", postgres_conn_id="staging", limit=2)
    with answering(lambda question: take(keys[1])) as asked:
        run: Any = serialized(dag).test()
    assert run.state == "success"
    assert list(asked[0].choices) == [keys[2], keys[1]]
    assert run.get_task_instance("pick").xcom_pull(task_ids="pick") == keys[1]
