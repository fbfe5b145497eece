"""Where the hook's options come from, and what forbids a verb."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    UnknownOptionError,
)
from airflow_provider_pgclone.hooks import PgCloneHook
from airflow_provider_pgclone.hooks.call import resolve_call
from example_dags.services import PostgresServer
from tests.support.fixtures.databases import Server
from tests.support.fixtures.hooks import MakeHook


@pytest.fixture
def set_extra(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put options into the extra of the connection ``pg``."""

    def put(**options: Any) -> None:
        connection = {
            "conn_type": "postgres",
            "host": postgres.host,
            "port": postgres.port,
            "login": postgres.user,
            "password": postgres.password,
            "extra": {"pgclone": options, "sslmode": "prefer"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(connection))

    return put


def test_options_come_from_argument_configuration_connection_and_section(
    shop: str,
    make_hook: MakeHook,
    set_extra: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCE", "of-section")
    monkeypatch.setenv("AIRFLOW__PGCLONE__STORAGE_LOCATION", str(tmp_path / "of-section"))
    hook = make_hook(shop, storage_location=None)
    assert hook.dump().startswith("of-section/")
    set_extra(instance="of-connection")
    assert hook.dump().startswith("of-connection/")
    monkeypatch.setenv("AIRFLOW_VAR_PGCLONE_CONFIGS", '{"nightly": {"instance": "of-config"}}')
    nightly = make_hook(shop, storage_location=None, config="nightly")
    assert nightly.dump().startswith(f"of-config/{shop}/nightly/")
    assert nightly.dump(instance="of-argument").startswith(f"of-argument/{shop}/nightly/")
    assert nightly.dump(exclude=["orders"]).startswith(f"of-config/{shop}/partial-")
    assert len(list((tmp_path / "of-section").rglob("*.dump"))) == 5


def test_configurations_come_from_the_section_too(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS", '{"slim": {"exclude": ["orders"]}}')
    assert f"/{shop}/slim/" in make_hook(shop, config="slim").dump()


def test_an_unknown_configuration_is_named(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PGCLONE_CONFIGS", '{"nightly": {}}')
    with pytest.raises(NotFoundError, match=r"'nihgtly' does not exist.*are: nightly"):
        make_hook(shop, config="nihgtly").dump()


def test_a_configuration_of_the_name_that_stands_for_none_in_keys_is_refused(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PGCLONE_CONFIGS", '{"none": {"exclude": ["orders"]}}')
    with pytest.raises(InvalidInputError, match=r"no configuration may be named 'none'.*Rename"):
        make_hook(shop, config="none").dump()


def test_an_unknown_option_of_a_configuration_is_named(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_PGCLONE_CONFIGS", '{"nightly": {"exlude": ["users"]}}')
    with pytest.raises(UnknownOptionError, match="'nightly' has the unknown option 'exlude'"):
        make_hook(shop, config="nightly").dump()


def test_an_unknown_option_of_a_connection_is_named(
    shop: str, make_hook: MakeHook, set_extra: Any
) -> None:
    set_extra(alow_restore=False)
    with pytest.raises(UnknownOptionError, match="'pg' has the unknown option 'alow_restore'"):
        make_hook(shop).ls()


def test_an_unknown_option_of_the_section_is_named(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__ALOW_RESTORE", "False")
    with pytest.raises(
        UnknownOptionError, match=r"section .* has the unknown option 'alow_restore"
    ):
        make_hook(shop).ls()


def test_the_default_storage_connection_forbids_too(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = json.dumps({"pgclone": {"allow_dump": False}})
    connection = json.dumps({"conn_type": "aws", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
    with pytest.raises(NotAllowedError, match="'aws_default' sets allow_dump to false"):
        make_hook(shop, storage_location="s3://dumps/").dump()


@pytest.mark.parametrize("verb", ["restore", "swap", "drop_temp", "ls"])
def test_what_is_no_text_is_named(verb: str, shop: str, make_hook: MakeHook) -> None:
    with pytest.raises(InvalidInputError, match="is None"):
        getattr(make_hook(shop), verb)(None)


@pytest.mark.parametrize(
    ("guard", "call"),
    [
        ("allow_dump", lambda hook: hook.dump()),
        ("allow_restore", lambda hook: hook.restore("prod")),
        ("allow_restore", lambda hook: hook.swap("x")),
        ("allow_restore", lambda hook: hook.drop_temp("x")),
        ("allow_copy", lambda hook: hook.copy(":x")),
        ("allow_prune", lambda hook: hook.prune("prod", keep_last=1)),
    ],
)
def test_what_the_connection_or_the_section_forbids_is_refused(
    guard: str,
    call: Any,
    shop: str,
    make_hook: MakeHook,
    set_extra: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{guard.upper()}", "False")
    set_extra(**{guard: True})
    with pytest.raises(NotAllowedError, match=f"section .* sets {guard} to false"):
        call(make_hook(shop))
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{guard.upper()}", "True")
    set_extra(**{guard: False})
    with pytest.raises(NotAllowedError, match=f"connection 'pg' sets {guard} to false"):
        call(make_hook(shop))


def test_an_unknown_connection_is_named(local_storage: Path) -> None:
    with pytest.raises(NotFoundError, match="'no_such' does not exist"):
        PgCloneHook("no_such", str(local_storage)).ls()


def test_an_unknown_storage_connection_is_named(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop, storage_location="s3://dumps/", storage_conn_id="no_such")
    with pytest.raises(NotFoundError, match="'no_such' does not exist"):
        hook.ls()


def test_a_connection_of_another_type_is_refused(
    local_storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEB", "http://example.org")
    with pytest.raises(InvalidInputError, match="'web' is of type 'http'"):
        PgCloneHook("web", str(local_storage)).ls()


def test_a_missing_storage_location_is_told(shop: str, make_hook: MakeHook) -> None:
    with pytest.raises(InvalidInputError, match="no storage location"):
        make_hook(shop, storage_location=None).dump()


def test_the_listing_of_a_folder_that_does_not_exist_makes_none(
    shop: str, make_hook: MakeHook, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        make_hook(shop, storage_location=str(tmp_path / "typo")).ls()
    assert not (tmp_path / "typo").exists()


def test_lists_of_parts_files_and_local_databases(
    server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook(shop)
    key = hook.dump(instance="prod")
    (local_storage / "notes.txt").write_text("x")
    assert hook.ls(what="instances") == ["prod"]
    assert hook.ls("prod", what="databases") == [shop]
    assert hook.ls(what="configs") == ["none"]
    assert [dump.key for dump in hook.ls()] == [key]
    assert {dump.key for dump in hook.ls(what="files")} == {key, "notes.txt"}
    assert f":{shop}" in hook.ls(what="local")


def test_dumps_are_listed_where_they_are_asked_for(shop: str, make_hook: MakeHook) -> None:
    hook = make_hook(shop)
    key = hook.dump()
    assert [dump.key for dump in hook.ls(what="dumps")] == [key]
    assert hook.ls(what="dumps", masked=True) == []


# The flags that the option what has replaced.
OLD_KINDS = {name: name for name in ("instances", "databases", "configs", "local")} | {
    "all_files": "files"
}


@pytest.mark.parametrize("flag", OLD_KINDS)
def test_a_deprecated_flag_lists_the_same_and_says_what_to_use(
    flag: str, server: Server, shop: str, make_hook: MakeHook, local_storage: Path
) -> None:
    hook: Any = make_hook(shop)
    hook.dump(instance="prod")
    (local_storage / "notes.txt").write_text("x")
    expected = hook.ls(what=OLD_KINDS[flag])
    told = rf"the arguments: the option {flag} is deprecated; use what='{OLD_KINDS[flag]}'"
    with pytest.warns(AirflowProviderDeprecationWarning, match=told) as warned:
        listed = hook.ls(**{flag: True})
    assert [warning.filename for warning in warned] == [__file__]
    assert listed == expected
    assert listed != hook.ls()
    with pytest.warns(AirflowProviderDeprecationWarning, match=told):
        assert hook.ls(**{flag: False}) == hook.ls()


def test_a_deprecated_flag_of_a_source_lists_the_same_and_says_what_to_use(
    shop: str, make_hook: MakeHook, set_extra: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(shop)
    hook.dump(instance="prod")
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCES", "True")
    with pytest.warns(AirflowProviderDeprecationWarning, match=r"section .* use what='instances'"):
        listed = hook.ls()
    assert listed == ["prod"]  # type: ignore[comparison-overlap]
    set_extra(instances=False)
    with pytest.warns(AirflowProviderDeprecationWarning) as told:
        assert [dump.key.split("/")[0] for dump in hook.ls()] == ["prod"]
    assert len(told) == 2
    key = hook.dump(instance="prod")  # without a warning: it has no such option
    assert key.startswith("prod/")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"instances": True, "local": True}, "instances and local"),
        ({"instances": True, "what": "databases"}, "instances and what='databases'"),
        ({"all_files": True, "verified": True}, "files and verified"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*is deprecated; use what=")
def test_kinds_that_exclude_each_other_are_refused(
    options: dict[str, Any], told: str, make_hook: MakeHook
) -> None:
    hook: Any = make_hook("shop")
    with pytest.raises(InvalidInputError, match=f"{told} cannot be listed together"):
        hook.ls(**options)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("dump", []),
        ("restore", ["prod"]),
        ("swap", ["x"]),
        ("copy", [":x"]),
        ("ls", []),
        ("verify", ["prod"]),
        ("prune", ["prod"]),
        ("propose_masks", []),
    ],
)
@pytest.mark.parametrize("name", ["job", "postgres_conn_id", "keep_hourly"])
def test_an_argument_that_a_method_does_not_have_is_named(
    verb: str, arguments: list[str], name: str
) -> None:
    hook = PgCloneHook("no_such")
    told = rf"PgCloneHook\.{verb}\(\) got an unexpected keyword argument '{name}'"
    with pytest.raises(TypeError, match=told):
        getattr(hook, verb)(*arguments, **{name: None})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("masked", "; did you mean 'masks'?"),
        ("exclude_schema", "; did you mean 'exclude_schemas'?"),
        ("database", "; PgCloneHook() itself has database"),
        ("zzz", ""),
    ],
)
def test_an_argument_that_was_mistyped_is_told_with_what_was_meant(name: str, meant: str) -> None:
    told = re.escape(f"unexpected keyword argument '{name}'{meant}") + "$"
    with pytest.raises(TypeError, match=told):
        PgCloneHook("no_such").dump(**{name: "x"})  # type: ignore[arg-type]


def test_the_nearest_source_of_a_secret_decides_in_which_way_it_is_given(
    shop: str, make_hook: MakeHook, set_extra: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KEYS", '{"conn_type": "generic", "password": "of the keys"}')
    monkeypatch.setenv("AIRFLOW__PGCLONE__MASK_KEY", "of the section")
    of_hook = {"postgres_conn_id": "pg"}

    def mask_key(**given: str) -> str | None:
        return resolve_call("dump", None, of_hook, given).masking().key

    assert mask_key(mask_key_conn_id="keys") == "of the keys"
    assert mask_key() == "of the section"
    set_extra(mask_key_conn_id="keys")
    assert mask_key() == "of the keys"
    assert mask_key(mask_key="of the call") == "of the call"
    with pytest.raises(InvalidInputError, match="the arguments: mask_key and mask_key_conn_id"):
        mask_key(mask_key="of the call", mask_key_conn_id="keys")
    set_extra(signing_key="of the extra", signing_key_conn_id="keys")
    with pytest.raises(InvalidInputError, match=r"the extra .*: signing_key and signing_key_conn"):
        resolve_call("dump", None, of_hook, {}).signing_key()


def test_the_options_of_a_call_fill_the_dataclasses_of_the_core(
    shop: str, make_hook: MakeHook, postgres_connection: str
) -> None:
    arguments = {"postgres_conn_id": postgres_connection, "database": shop}
    call = resolve_call("restore", None, arguments, {"jobs": "3", "no_owner": "yes"})
    load = call.load_options()
    assert (load.jobs, load.no_owner, load.no_acl, load.publications) == (3, True, None, False)
    assert (call.value("wait_seconds", float), call.optional("no_acl", bool)) == (0.0, None)
    with pytest.raises(TypeError, match="the option no_acl is a NoneType, not bool"):
        call.value("no_acl", bool)
    with pytest.raises(KeyError, match="exclude"):
        call.selection()


def test_passwords_appear_nowhere(
    postgres: PostgresServer,
    shop: str,
    make_hook: MakeHook,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    hook = make_hook(shop)
    hook.restore(hook.dump())
    with pytest.raises(NotFoundError) as raised:
        make_hook("no_such").dump()
    said = caplog.text + "".join(capfd.readouterr()) + repr(hook) + repr(raised.value)
    assert postgres.password not in said
    assert f"restored pg/{shop}/" in said


# What every task does first; Airflow 3.1 keeps it elsewhere.
LOAD_PLUGINS = """
try:
    from airflow.sdk.plugins_manager import integrate_macros_plugins
except ImportError:
    from airflow.plugins_manager import integrate_macros_plugins
integrate_macros_plugins()
"""
USE = """
from airflow.providers.postgres.hooks.postgres import PostgresHook
{load}
print(PostgresHook(postgres_conn_id="pg", database="postgres").get_first("SELECT 42"))
"""


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_other_users_of_a_connection_with_our_extra_go_on_working(set_extra: Any) -> None:
    set_extra(allow_restore=False)
    before = run_python(LOAD_PLUGINS + USE.format(load=""))
    after = run_python(USE.format(load=LOAD_PLUGINS))
    assert "(42,)" in before.stdout, before.stderr
    assert "(42,)" in after.stdout, after.stderr
    without = run_python(USE.format(load=""))
    assert 'invalid connection option "pgclone"' in without.stderr


def test_the_hook_works_without_a_metadata_database(
    shop: str, postgres_connection: str, local_storage: Path, tmp_path: Path
) -> None:
    """Only AIRFLOW_CONN_… variables, in an Airflow home where nothing was ever migrated."""
    program = (
        "from airflow_provider_pgclone.hooks import PgCloneHook\n"
        f"hook = PgCloneHook({postgres_connection!r}, {str(local_storage)!r}, database={shop!r})\n"
        "key = hook.dump(); assert hook.restore(key) == key; print(hook.ls()[0].key)"
    )
    home = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////no/db",
    }
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **home})
    assert done.returncode == 0, done.stderr
    assert f"pg/{shop}/none/" in done.stdout.splitlines()[-1]


@pytest.mark.filterwarnings("ignore:.*is deprecated; use what=")
def test_the_most_particular_source_says_what_to_list(
    shop: str, make_hook: MakeHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_hook(shop).dump(instance="prod")
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCES", "True")
    hook: Any = make_hook(shop)
    assert hook.ls() == ["prod"]
    assert [dump.key for dump in hook.ls(what="dumps")] == [key]
    assert hook.ls(what="instances") == ["prod"]
    assert hook.ls(databases=True) == [shop]
    assert [dump.key for dump in hook.ls(instances=False)] == [key]
    monkeypatch.setenv("AIRFLOW__PGCLONE__WHAT", "configs")
    monkeypatch.delenv("AIRFLOW__PGCLONE__INSTANCES")
    assert hook.ls() == ["none"]
    assert f":{shop}" in hook.ls(local=True)


def test_an_inspection_does_not_warn_of_flags_of_listings(
    shop: str,
    make_hook: MakeHook,
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
) -> None:
    key = make_hook(shop).dump()
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCES", "True")
    assert make_hook(shop).inspect(key)["database"] == shop
    assert not [one for one in recwarn if "deprecated" in str(one.message)]


def test_an_empty_mask_lifts_what_the_connection_masks_for_a_copy_by_template(
    shop: str, server: Server, make_hook: MakeHook, set_extra: Any
) -> None:
    set_extra(masks={"public.users": {"email": "null"}})
    hook = make_hook(shop)
    with pytest.raises(InvalidInputError, match="says to leave out or mask something"):
        hook.copy(f":{shop}_copy")
    hook.copy(f":{shop}_copy", masks={})
    assert f"{shop}_copy" in server.names()
