"""Operators as Airflow runs them: mapped, with templates, and with errors that no retry mends."""

import os
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG, XComArg

from airflow_provider_pgclone import operators
from airflow_provider_pgclone.operators import (
    PgCloneCopyOperator,
    PgCloneDumpOperator,
    PgCloneListOperator,
    PgCloneRestoreOperator,
    PgCloneVerifyOperator,
)
from airflow_provider_pgclone.operators.base import PgCloneBaseOperator
from airflow_provider_pgclone.options import OPTIONS
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.databases import SHOP_SQL, MakeDatabase, Server
from tests.support.fixtures.hooks import MakeHook

BROKEN_KEY = "prod/shop/none/2026-11-20-02-00-00-000000.dump"


def new_dag(**arguments: Any) -> DAG:
    return DAG(f"operators_{os.urandom(4).hex()}", schedule=None, **arguments)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("field", ["database", "storage_location", "key"])
def test_what_renders_to_nothing_is_refused(field: str, native: bool) -> None:
    """Else a restore would go over the connection's own database."""
    arguments = {"key": "prod/shop", field: "{{ nothing }}"}
    with new_dag(render_template_as_native_obj=native):
        task = PgCloneRestoreOperator(task_id="restore", **arguments)
    context: Any = {"nothing": None}
    with pytest.raises(AirflowFailException, match=f"argument {field} was rendered to nothing"):
        task.render_template_fields(context)


def test_what_was_not_given_stays_so_and_lists_are_rendered() -> None:
    with new_dag():
        task = PgCloneDumpOperator(task_id="dump", exclude=["public.{{ name }}"])
    context: Any = {"name": "events"}
    task.render_template_fields(context)
    assert task.exclude == ["public.events"]
    assert task.database is None


def test_a_deprecated_flag_of_the_list_operator_lists_the_same(
    shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    hook.dump(instance="prod")
    with pytest.warns(AirflowProviderDeprecationWarning, match="'list': the option instances"):
        task = PgCloneListOperator(task_id="list", instances=True)
    context: Any = {}
    with pytest.warns(AirflowProviderDeprecationWarning, match="arguments: the option instances"):
        assert task.call(hook, context) == ["prod"]
    named = PgCloneListOperator(task_id="named", what="{{ 'instances' }}")
    named.render_template_fields(context)
    assert named.call(hook, context) == ["prod"]


@pytest.mark.parametrize("of_conf", [False, True])
def test_a_mask_key_is_shown_nowhere(
    airflow_database: None,
    shop: str,
    postgres_connection: str,
    local_storage: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    of_conf: bool,
) -> None:
    from airflow.models.renderedtifields import RenderedTaskInstanceFields

    key = f"a-mask-key-{os.urandom(8).hex()}"
    with new_dag(params={"key": key}) as dag:
        PgCloneDumpOperator(
            task_id="dump",
            postgres_conn_id=postgres_connection,
            database=shop,
            storage_location=str(local_storage),
            masks={"public.users": {"email": "email"}},
            mask_key="{{ params.key }}" if of_conf else key,
        )

    run = serialized(dag).test()

    assert run.state == "success"
    rendered = RenderedTaskInstanceFields.get_templated_fields(run.get_task_instance("dump"))
    assert rendered is not None
    assert rendered["mask_key"] == "***"
    assert "email" in str(rendered["masks"])
    assert key not in f"{rendered}{caplog.text}{''.join(capfd.readouterr())}"


def test_a_fleet_is_dumped_by_a_mapped_task(
    airflow_database: None,
    server: Server,
    make_database: MakeDatabase,
    postgres_connection: str,
    local_storage: Path,
) -> None:
    fleet = [make_database(SHOP_SQL), make_database(SHOP_SQL)]
    with new_dag() as dag:
        dump = PgCloneDumpOperator.partial(
            task_id="dump",
            postgres_conn_id=postgres_connection,
            storage_location=str(local_storage),
            instance="fleet",
            jobs="{{ 1 + 1 }}",
        ).expand(database=fleet)
        listed = PgCloneListOperator(
            task_id="list",
            postgres_conn_id=postgres_connection,
            storage_location=str(local_storage),
            prefix="fleet",
            what="databases",
        )
        copies = PgCloneCopyOperator.partial(
            task_id="copy", postgres_conn_id=postgres_connection
        ).expand_kwargs([{"database": name, "to": f":{name}_copy"} for name in fleet])
        dump >> listed >> copies
    run = serialized(dag).test()
    assert run.state == "success"
    assert run.get_task_instance("list").xcom_pull(task_ids="list") == sorted(fleet)
    assert server.names() == {*fleet, *(f"{name}_copy" for name in fleet)}


def test_a_verified_dump_is_restored_and_a_damaged_one_is_not(
    airflow_database: None,
    server: Server,
    shop: str,
    postgres_connection: str,
    local_storage: Path,
) -> None:
    shared: dict[str, Any] = {
        "postgres_conn_id": postgres_connection,
        "storage_location": str(local_storage),
    }
    with new_dag() as dag:
        dump = PgCloneDumpOperator(task_id="dump", database=shop, checksums="{{ true }}", **shared)
        verify = PgCloneVerifyOperator(
            task_id="verify", key=XComArg(dump), level="restore", **shared
        )
        PgCloneRestoreOperator(
            task_id="restore",
            key=XComArg(verify),
            database=f"{shop}_staging",
            require_verified=True,
            check_sql=["SELECT count(*) = {{ 2000 }} FROM orders", "SELECT true"],
            **shared,
        )
    run = serialized(dag).test()
    assert run.state == "success"
    assert server.value(f"{shop}_staging", "SELECT count(*) FROM orders") == 2000
    key = run.get_task_instance("verify").xcom_pull(task_ids="verify")
    archive = local_storage / key
    archive.write_bytes(archive.read_bytes()[:-1])
    with new_dag() as dag:
        PgCloneVerifyOperator(task_id="verify", key=key, **shared)
    assert serialized(dag).test().state == "failed"


def test_an_error_that_no_retry_mends_is_not_retried(
    airflow_database: None, postgres_connection: str, local_storage: Path, shop: str
) -> None:
    local_storage.mkdir()
    with new_dag() as dag:
        PgCloneRestoreOperator(
            task_id="restore",
            postgres_conn_id=postgres_connection,
            storage_location=str(local_storage),
            database=shop,
            key="prod/no_such",
            retries=3,
        )
    run = serialized(dag).test()
    (instance,) = run.get_task_instances()
    assert (instance.state, instance.try_number) == ("failed", 1)


MISSING = {
    "key": "prd/shop",
    "message": "no dump under 'prd/shop' in ",
    "hint": "Did you mean 'prod'?",
    "type": "AirflowFailException",
}
NO_ARCHIVE = {
    "key": "prod/shop",
    "message": f"{BROKEN_KEY}: not a custom-format archive",
    "hint": None,
    "type": "ArchiveError",
}


@pytest.mark.parametrize("error", [MISSING, NO_ARCHIVE], ids=["permanent", "retryable"])
def test_the_log_of_a_failed_task_says_what_happened_and_what_to_do_on_lines_of_their_own(
    error: dict[str, Any],
    airflow_database: None,
    postgres_connection: str,
    local_storage: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = local_storage / BROKEN_KEY
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"nothing" * 100)
    with new_dag() as dag:
        PgCloneRestoreOperator(
            task_id="restore",
            postgres_conn_id=postgres_connection,
            storage_location=str(local_storage),
            database="never_made",
            key=error["key"],
        )
    task = serialized(dag)
    capfd.readouterr()

    assert task.test().state == "failed"

    said = "".join(capfd.readouterr())
    lines = [line for line in said.splitlines() if "[error " in line]
    told = [line for line in lines if error["message"] in line]
    assert len(told) == 1
    assert "Did you mean" not in told[0]
    hints = [line for line in said.splitlines() if error["hint"] and error["hint"] in line]
    assert len(hints) == (1 if error["hint"] else 0)
    assert said.count("Traceback") == 1
    assert "direct cause" not in said
    assert "During handling" not in said
    assert f"{error['type']}: {error['message']}" in said


class Untemplated(PgCloneRestoreOperator):
    """As somebody writes it who wants no Jinja in his SQL."""

    template_fields = ("key",)


def test_a_subclass_that_templates_less_still_passes_all_arguments_on(
    shop: str, server: Server, make_hook: MakeHook, local_storage: Path
) -> None:
    """Else it would restore over the connection's own database, at once and unchecked."""
    key = make_hook(shop).dump()
    task = Untemplated(
        task_id="restore",
        key=key,
        postgres_conn_id="pg",
        database="other_shop",
        storage_location=str(local_storage),
        check_sql="SELECT count(*) = 500 FROM public.users",
        swap=False,
    )
    hook = task.make_hook()
    assert task.call_method(hook) == key
    assert hook.temp_database is not None
    assert hook.temp_database.startswith("other_shop__temp_")
    assert server.names() == {shop, hook.temp_database}
    assert Untemplated.template_fields == ("key",)


class UnmaskedFields(PgCloneDumpOperator):
    template_fields = ("database",)


def test_a_subclass_that_templates_less_still_masks(
    shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    task = UnmaskedFields(
        task_id="dump",
        postgres_conn_id="pg",
        database=shop,
        storage_location=str(local_storage),
        masks={"public.users": {"email": "email"}},
        mask_key="a key of sixteen characters",
        exclude=["public.orders"],
    )
    facts = make_hook(shop).inspect(task.call_method(task.make_hook()))
    assert facts["masking"]["columns"]
    assert facts["content"]["exclude"] == ["public.orders"]


def test_a_subclass_may_name_more_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithToken(PgCloneDumpOperator):
        secret_fields = (*PgCloneDumpOperator.secret_fields, "token")

        def __init__(self, *, token: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.token = token

    hidden: list[object] = []
    monkeypatch.setattr("airflow_provider_pgclone.operators.base.mask_secret", hidden.append)
    with new_dag():
        task = WithToken(task_id="dump", token="a token", mask_key="a key of sixteen characters")
    context: Any = {}
    task.render_template_fields(context)
    assert set(hidden) == {"a token", "a key of sixteen characters"}


def test_given_still_works_with_a_warning() -> None:
    task = PgCloneDumpOperator(task_id="dump", jobs=3)
    with pytest.warns(AirflowProviderDeprecationWarning, match="use call_method"):
        assert task.given("jobs", "exclude") == {"jobs": 3, "exclude": None}


VERBS = [getattr(operators, name) for name in operators.__all__]


@pytest.mark.parametrize("operator", [one for one in VERBS if issubclass(one, PgCloneBaseOperator)])
def test_an_operator_takes_every_option_of_its_verb(operator: type[PgCloneBaseOperator]) -> None:
    options = {one.name for one in OPTIONS if operator.verb in one.verbs and one.instead is None}
    assert options <= {*operator.template_fields}
