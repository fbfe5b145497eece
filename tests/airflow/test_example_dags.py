"""The example DAGs, run by Airflow on a real server; what they have done is read from the data."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.hooks import PgCloneHook
from example_dags.demo import shop
from example_dags.demo.environment import OPTIONS_OF_CONNECTIONS
from tests.support import REPOSITORY
from tests.support.fixtures.databases import Server
from tests.support.fixtures.shop import MASK_KEY, masked_dump, states

if TYPE_CHECKING:
    from airflow.sdk import DAG

PRODUCTION_COUNTS: dict[str, object] = {
    "users": 500,
    "users with a real email": 500,
    "orders": 2000,
    "mails in the outbox": 20,
    "payments": "live",
}
OLD_STAGING_COUNTS = {
    "users": 40,
    "users with a real email": 0,
    "orders": 90,
    "mails in the outbox": 0,
    "payments": "test",
}
REFRESHED_COUNTS = {
    "users": 501,
    "users with a real email": 0,
    "orders": 2000,
    "mails in the outbox": 0,
    "payments": "test",
}


MASKED_COUNTS = {**PRODUCTION_COUNTS, "users with a real email": 0}


def counts(server: Server, database: str) -> dict[str, object]:
    return shop.count(server.server, database)


def keys(prefix: str = "") -> list[str]:
    return [dump.key for dump in PgCloneHook("prod").ls(prefix)]


def restored_key(dag_run: Any) -> str:
    return str(dag_run.get_task_instance("refresh.restore").xcom_pull(task_ids="refresh.restore"))


def test_every_file_parses(example_dags: "dict[str, DAG]") -> None:
    assert set(example_dags) == {
        "nightly_anonymized_dump",
        "nightly_masked_dump",
        "nightly_dump",
        "staging_refresh",
        "manual_restore",
        "verify_dump",
    }


def test_nightly_dump_deletes_the_oldest_of_its_dumps(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    nightly, folder = example_dags["nightly_dump"], "prod/shop/none"
    storage = Path(os.environ["AIRFLOW__PGCLONE__STORAGE_LOCATION"])
    (storage / folder).mkdir(parents=True)
    now = datetime.now(UTC)
    nights = [now - timedelta(days=number) for number in range(1, 1001)]
    for night in nights:
        (storage / folder / f"{night:%Y-%m-%d-%H-%M-%S-%f}.dump").touch()

    dag_run = nightly.test()

    assert dag_run.state == "success"
    dumped = dag_run.get_task_instance("dump").xcom_pull(task_ids="dump")
    pruned = dag_run.get_task_instance("prune").xcom_pull(task_ids="prune")
    assert pruned["kept"] == keys("prod/shop")
    assert pruned["kept"][0] == dumped
    times = [DumpKey.parse(key).created_at for key in pruned["kept"]]
    assert times[1:7] == nights[:6]
    oldest = times[-1]
    assert (now.year * 12 + now.month) - (oldest.year * 12 + oldest.month) == 11
    assert len(pruned["deleted"]) == 1001 - len(pruned["kept"])


def test_nightly_dump_has_no_real_email_and_leaves_no_copy(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    dag_run = example_dags["nightly_anonymized_dump"].test()

    assert dag_run.state == "success"
    (key,) = keys("prod/shop_anonymized")
    storage = Path(os.environ["AIRFLOW__PGCLONE__STORAGE_LOCATION"])
    argv = [str(shop_server.server.bin_dir / "pg_restore"), "--file=-", str(storage / key)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "@example.invalid" in text
    assert "@mail.example.com" not in text
    assert "Lovelace" not in text
    PgCloneHook("prod", database="restored").restore(key)
    assert counts(shop_server, "restored") == MASKED_COUNTS
    assert shop_server.value("restored", "SELECT count(*) FROM users WHERE name LIKE 'Ada%'") == 0
    assert counts(shop_server, shop.PRODUCTION) == PRODUCTION_COUNTS
    assert shop_server.names() >= {shop.PRODUCTION, shop.STAGING}
    assert "shop_anonymized" not in shop_server.names()


def test_nightly_dump_replaces_the_copy_of_a_killed_run_where_no_restore_is_allowed(
    example_dags: "dict[str, DAG]", shop_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = {**OPTIONS_OF_CONNECTIONS, "prod": {"allow_restore": False}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONNECTIONS", json.dumps(guarded))
    shop_server.run("postgres", "CREATE DATABASE shop_anonymized")
    assert example_dags["nightly_anonymized_dump"].test().state == "success"
    assert len(keys("prod/shop_anonymized")) == 1
    assert "shop_anonymized" not in shop_server.names()


def test_nightly_dump_fails_without_a_dump_where_an_email_is_left(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    shop_server.run(
        shop.PRODUCTION,
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';"
        "CREATE TRIGGER keep BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION keep()",
    )

    dag_run = example_dags["nightly_anonymized_dump"].test()

    assert dag_run.state == "failed"
    assert states(dag_run) == {
        "drop_old_copy": "success",
        "copy": "success",
        "anonymize": "success",
        "check_anonymized": "failed",
        "dump": "upstream_failed",
        "drop_copy": "success",
    }
    assert keys() == []
    assert "shop_anonymized" not in shop_server.names()


def test_masked_dump_has_nothing_personal_in_it_nor_on_the_way(
    example_dags: "dict[str, DAG]",
    shop_server: Server,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    dag_run = example_dags["nightly_masked_dump"].test()

    assert dag_run.state == "success"
    (key,) = keys("prod_masked/shop")
    storage = Path(os.environ["AIRFLOW__PGCLONE__STORAGE_LOCATION"])
    argv = [str(shop_server.server.bin_dir / "pg_restore"), "--file=-", str(storage / key)]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    task = dag_run.get_task_instance("dump")
    with create_session() as session:
        xcoms = [repr(vars(xcom)) for xcom in session.query(XComModel).all()]
    rendered = RenderedTaskInstanceFields.get_templated_fields(task)
    assert "@example.invalid" in text
    assert key in str(xcoms)
    assert rendered is not None
    assert rendered["policy"] == "classified"
    said = f"{text}{xcoms}{rendered}{caplog.text}{''.join(capfd.readouterr())}"
    for secret in ("Lovelace", "mail.example.com", "Your order", MASK_KEY):
        assert secret not in said
    PgCloneHook("prod", database="restored").restore(key, require_masked=True)
    assert counts(shop_server, "restored") == MASKED_COUNTS
    recipients = (
        "SELECT count(*) FROM outbox o JOIN users u ON (u.id, u.email) = (o.id, o.recipient)"
    )
    assert shop_server.value("restored", recipients) == 20


def test_masked_dump_fails_where_a_column_was_added(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    shop_server.run(shop.PRODUCTION, "ALTER TABLE orders ADD COLUMN recipient text")

    dag_run = example_dags["nightly_masked_dump"].test()

    assert dag_run.state == "failed"
    assert keys() == []


def test_refresh_refuses_what_is_not_masked(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    PgCloneHook("prod").dump(instance="prod_masked")
    before = shop_server.names()

    dag_run = example_dags["staging_refresh"].test()

    assert dag_run.state == "failed"
    assert states(dag_run)["refresh.restore"] == "failed"
    assert shop_server.names() == before
    assert counts(shop_server, shop.STAGING) == OLD_STAGING_COUNTS


def test_refresh_swaps_in_the_dump_with_the_work_of_the_hook_tasks(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    example_dags["nightly_masked_dump"].test()

    dag_run = example_dags["staging_refresh"].test()

    assert dag_run.state == "success"
    assert states(dag_run)["refresh.drop_temp"] == "success"
    assert counts(shop_server, shop.STAGING) == REFRESHED_COUNTS
    assert counts(shop_server, f"{shop.STAGING}__pre") == OLD_STAGING_COUNTS
    assert shop_server.rows(shop.STAGING, "SELECT name FROM users WHERE id = 0") == [("Test user",)]
    assert not [name for name in shop_server.names() if "__temp" in name]


def test_refresh_takes_the_dump_whose_asset_event_triggered_it(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    from example_dags.demo.asset_run import run_by_asset

    example_dags["nightly_masked_dump"].test()
    (key_of_event,) = keys()
    newer_key = PgCloneHook("prod").dump(instance="prod_masked")

    dag_run = run_by_asset(example_dags["staging_refresh"])

    assert dag_run.state == "success"
    assert keys() == [newer_key, key_of_event]
    assert restored_key(dag_run) == key_of_event
    assert counts(shop_server, shop.STAGING) == REFRESHED_COUNTS


def test_refresh_takes_the_newest_of_the_dumps_that_waited(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    from example_dags.demo.asset_run import run_by_asset

    for _ in range(2):
        example_dags["nightly_masked_dump"].test()

    dag_run = run_by_asset(example_dags["staging_refresh"])

    assert dag_run.state == "success"
    assert restored_key(dag_run) == keys()[0]


def test_failing_hook_task_leaves_staging_as_it_was(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    shop_server.run(shop.PRODUCTION, "INSERT INTO users VALUES (0, 'In the way', 'a@b.example')")
    example_dags["nightly_masked_dump"].test()
    before = shop_server.names()

    dag_run = example_dags["staging_refresh"].test()

    assert dag_run.state == "failed"
    assert states(dag_run) == {
        "refresh.choose_dump": "success",
        "refresh.restore": "success",
        "refresh.use_test_payments": "success",
        "refresh.add_test_user": "failed",
        "refresh.empty_outbox": "upstream_failed",
        "refresh.check": "upstream_failed",
        "refresh.swap": "upstream_failed",
        "refresh.drop_temp": "success",
    }
    assert shop_server.names() == before
    assert counts(shop_server, shop.STAGING) == OLD_STAGING_COUNTS


def test_a_check_that_is_not_true_leaves_staging_as_it_was(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    masks = {"public.users": {"name": "name"}}  # but not the emails
    PgCloneHook("prod").dump(instance="prod_masked", masks=masks, mask_key=MASK_KEY)
    before = shop_server.names()

    dag_run: Any = example_dags["staging_refresh"].test()

    assert dag_run.state == "failed"
    assert states(dag_run)["refresh.check"] == "failed"
    assert shop_server.names() == before
    assert counts(shop_server, shop.STAGING) == OLD_STAGING_COUNTS


def test_password_of_the_hook_tasks_is_in_no_field_that_airflow_shows(
    example_dags: "dict[str, DAG]",
    shop_server: Server,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    example_dags["nightly_masked_dump"].test()
    dag_run: Any = example_dags["staging_refresh"].test()

    for name in ("use_test_payments", "add_test_user", "empty_outbox"):
        task = dag_run.get_task_instance(f"refresh.{name}")
        rendered = RenderedTaskInstanceFields.get_templated_fields(task)
        assert rendered is not None
        assert rendered["temp_database"].startswith(f"{shop.STAGING}__temp_")
        assert shop_server.server.password not in str(rendered)
    assert shop_server.server.password not in caplog.text + "".join(capfd.readouterr())


def test_verify_dump_notes_the_verdict_of_the_dump_that_was_given(
    example_dags: "dict[str, DAG]", shop_server: Server
) -> None:
    given = masked_dump()
    masked_dump()

    dag_run = example_dags["verify_dump"].test(run_conf={"dump_key": given})

    assert dag_run.state == "success"
    verified = [dump.key for dump in PgCloneHook("prod").ls(verified=True)]
    assert verified == [given]


def test_demo_shows_what_it_did(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "example_dags.demo", "run", "--folder", tmp_path],
        cwd=REPOSITORY,
        env=_without_airflow(),
        capture_output=True,
        text=True,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stderr == ""
    assert "prod_masked/shop/masked-" in demo.stdout
    rows = [line.split() for line in demo.stdout.splitlines()]
    assert ["users", "500", "40", "501"] in rows
    assert ["users", "with", "a", "real", "email", "500", "0", "0"] in rows


def test_demo_that_fails_says_why_and_ends_with_an_error(tmp_path: Path) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "example_dags.demo", "run", "--folder", tmp_path],
        cwd=REPOSITORY,
        env={**_without_airflow(), "AIRFLOW__PGCLONE__ALLOW_DUMP": "false"},
        capture_output=True,
        text=True,
    )

    assert demo.returncode == 1
    assert "The demo failed: the DAG nightly_masked_dump failed in dump" in demo.stdout
    assert "airflow.log" in demo.stdout


def _without_airflow() -> dict[str, str]:
    """Return the environment without the settings of the tests' own Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
