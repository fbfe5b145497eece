"""Pruning storage: what no rule keeps goes with its records, and what was never completed."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from botocore.exceptions import ClientError

from airflow_provider_pgclone.core.cancellation import Cancellation
from airflow_provider_pgclone.core.errors import InvalidInputError, NotFoundError, StorageError
from airflow_provider_pgclone.core.prune import Pruned, PruneOptions, prune
from airflow_provider_pgclone.core.repository.findings import record_paths
from airflow_provider_pgclone.core.repository.keys import DumpKey
from airflow_provider_pgclone.core.repository.retention import Retention
from airflow_provider_pgclone.core.storage.memory import MemoryStorage
from airflow_provider_pgclone.operators import PgClonePruneOperator
from example_dags.services import S3Server
from tests.contracts.storage import listed, write
from tests.support.fixtures.airflow import serialized
from tests.support.fixtures.hooks import MakeHook
from tests.support.fixtures.servers import BUCKET, unfinished_uploads

UPLOADS = "unfinished-uploads"

FOLDER = "prod/shop/none/"
# The names of records tell what was found.
DAMAGED, RESTORED, CHECKED = (path.removeprefix("key") for path in record_paths("key"))

Put = Callable[..., None]


def nightly(count: int, folder: str = FOLDER) -> list[str]:
    """Return the keys of dumps that end last night, the oldest first."""
    now = datetime.now(UTC)
    times = [now - timedelta(days=number, hours=12) for number in range(count)]
    return [str(DumpKey(time, *folder.strip("/").split("/"))) for time in reversed(times)]


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, local_storage: Path) -> dict[str, str]:
    """The arguments of a hook on an empty location."""
    if request.param == "folder":
        local_storage.mkdir()
        return {"storage_location": str(local_storage)}
    name = f"s3://{BUCKET}/prune-{os.urandom(4).hex()}/"
    return {
        "storage_location": name,
        "storage_conn_id": request.getfixturevalue("s3_connection"),
    }


@pytest.fixture
def put(location: dict[str, str], request: pytest.FixtureRequest) -> Put:
    """Put files there; that they are no archives matters to no prune."""
    place = location["storage_location"]
    if "://" not in place:

        def put(*paths: str) -> None:
            for path in paths:
                put_file(Path(place) / path)

        return put
    client, folder = request.getfixturevalue("s3").client(), place.split("/", 3)[3]

    def put_object(*paths: str) -> None:
        for path in paths:
            client.put_object(Bucket=BUCKET, Key=folder + path, Body=b"x")

    return put_object


def put_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


@pytest.fixture
def prune_at(make_hook: MakeHook, location: dict[str, str]) -> Callable[..., Pruned]:
    """Prune the location, and no server."""

    def call(prefix: str = "prod/shop", **arguments: Any) -> Pruned:
        return make_hook("", **location).prune(prefix, temp_databases=False, **arguments)

    return call


@pytest.fixture
def files(make_hook: MakeHook, location: dict[str, str]) -> Callable[[], set[str]]:
    def names() -> set[str]:
        return {file.key for file in make_hook("", **location).ls(what="files")}

    return names


def test_dumps_that_no_rule_keeps_go_with_their_records(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    keys = nightly(6)
    put(*keys, keys[0] + CHECKED, keys[1] + CHECKED, keys[1] + RESTORED, keys[5] + CHECKED)
    pruned = prune_at(keep_last=2)
    assert pruned == Pruned(tuple(keys[:4]), (keys[5], keys[4]), (), ())
    assert files() == {*keys[4:], keys[5] + CHECKED}
    assert prune_at(keep_last=2).deleted == ()


def test_what_records_tell_decides_which_is_the_last_good_one(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    keys = nightly(6)
    put(*keys, keys[1] + RESTORED, keys[2] + CHECKED, keys[2] + DAMAGED, keys[5] + DAMAGED)
    assert prune_at(keep_last=1).kept == (keys[4], keys[1])
    assert files() == {keys[4], keys[1], keys[1] + RESTORED}


def test_a_preview_tells_the_same_and_touches_nothing(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    keys = nightly(4)
    put(*keys, keys[0] + DAMAGED, nightly(1)[0] + "x", FOLDER + "notes.txt")
    before = files()
    told = prune_at(keep_last=1, preview=True)
    assert files() == before
    assert told == prune_at(keep_last=1)
    assert len(files()) == 3


def test_only_dumps_under_the_prefix_go(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    keys = nightly(3)
    others = [
        *nightly(3, "prod/shop_eu/none/"),
        *nightly(3, "dev/shop/none/"),
        *("prod/shop/notes.txt", f"{FOLDER}2020.dump", f"{FOLDER}old/{Path(keys[0]).name}"),
        *("prod/shop/none/notes.dump.damaged", f"{keys[0]}.part"),
    ]
    put(*keys, *others)
    assert prune_at(keep_last=1).deleted == tuple(keys[:2])
    assert files() == {keys[2], *others}


def test_each_series_is_pruned_by_itself(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    series = [nightly(3, f"{name}/") for name in ("prod/shop/none", "prod/shop/anon", "dev/a/b")]
    for keys in series:
        put(*keys)
    prune_at("*", keep_last=2)
    assert files() == {key for keys in series for key in keys[1:]}


def test_records_whose_dumps_are_gone_go_too(
    put: Put, prune_at: Callable[..., Pruned], files: Callable[[], set[str]]
) -> None:
    gone, there = nightly(2)
    other = nightly(1, "dev/shop/none/")[0] + CHECKED
    put(there, there + CHECKED, gone + CHECKED, gone + DAMAGED, other)
    prune_at(keep_last=5, preview=True)
    assert gone + DAMAGED in files()
    assert prune_at(keep_last=5) == Pruned((), (there,), (), ())
    assert files() == {there, there + CHECKED, other}


@pytest.mark.parametrize(
    ("prefix", "rules", "message"),
    [
        ("prod/shop", {}, "no rule"),
        ("prod/shop", {"uploads_older_than_hours": 0, "preview": True}, "no rule"),
        ("", {"keep_last": 1}, "'' does not say which dumps"),
        ("/", {"keep_last": 1}, "'/' does not say which dumps"),
        ("*/shop", {"keep_last": 1}, "no dump key starts with"),
        ("pr*d", {"keep_last": 1}, "no dump key starts with"),
        ("prod/shop", {"keep_last": -1}, "not a whole number"),
        ("prod/shop", {"keep_daily": 1.5}, "not a whole number"),
        ("prod/shop", {"older_than_days": -1}, "not a number"),
        ("prod/shop", {"older_than_days": 1e9, "keep_last": 1}, "not a number"),
        ("prod/shop", {"keep_last": 1, "temp_older_than_hours": "nan"}, "not a number"),
    ],
)
@pytest.mark.parametrize("location", ["folder"], indirect=True)
def test_what_is_not_said_rightly_deletes_nothing(
    prefix: str,
    rules: dict[str, Any],
    message: str,
    put: Put,
    prune_at: Callable[..., Pruned],
    files: Callable[[], set[str]],
) -> None:
    keys = nightly(3)
    put(*keys)
    with pytest.raises(InvalidInputError, match=message):
        prune_at(prefix, **rules)
    assert files() == set(keys)


def test_a_prefix_without_dumps_is_warned_of(
    put: Put, prune_at: Callable[..., Pruned], caplog: pytest.LogCaptureFixture
) -> None:
    put(*nightly(3))
    assert prune_at("prod/shpo", keep_last=1).deleted == ()
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "there is no dump under 'prod/shpo'" in warning.getMessage()


def test_a_location_that_is_not_there_is_named(make_hook: MakeHook, tmp_path: Path) -> None:
    hook = make_hook("", storage_location=str(tmp_path / "typo"))
    with pytest.raises(NotFoundError, match="typo"):
        hook.prune("*", keep_last=1)


class BreaksOff(MemoryStorage):
    """Ends after some requests to delete, as a process that is killed."""

    requests = 1

    def delete_many(self, paths: Sequence[str]) -> None:
        if self.requests == 0:
            raise StorageError("broken off")
        self.requests -= 1
        super().delete_many(paths)


def test_a_prune_that_breaks_off_leaves_no_damaged_dump_without_its_record() -> None:
    storage = BreaksOff()
    keys = nightly(4)
    for path in (*keys, keys[0] + DAMAGED, keys[1] + CHECKED):
        write(storage, path, b"x")
    options = PruneOptions(Retention(keep_last=1))
    with pytest.raises(StorageError, match="broken off"):
        prune(storage, "prod", None, options, cancellation=Cancellation())
    assert set(listed(storage)) == {keys[1], keys[3], keys[0] + DAMAGED, keys[1] + CHECKED}
    storage.requests = 9
    prune(storage, "prod", None, options, cancellation=Cancellation())
    assert set(listed(storage)) == {keys[1], keys[3], keys[1] + CHECKED}


@pytest.fixture
def begin_upload(s3: S3Server) -> Iterator[Callable[[str], None]]:
    """Leave an upload as a killed dump leaves it, in a bucket of its own."""
    client = s3.client()
    client.create_bucket(Bucket=UPLOADS)
    begun: list[dict[str, str]] = []

    def begin(key: str) -> None:
        place = {"Bucket": UPLOADS, "Key": key}
        place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
        client.upload_part(**place, PartNumber=1, Body=b"x")
        begun.append(place)

    yield begin
    for place in begun:
        with suppress(ClientError):  # removed by the test
            client.abort_multipart_upload(**place)


def test_uploads_that_were_never_completed_are_aborted_when_they_are_old(
    s3: S3Server,
    s3_connection: str,
    make_hook: MakeHook,
    begin_upload: Callable[[str], None],
) -> None:
    folder = "nightly"
    hook = make_hook("", storage_location=f"s3://{UPLOADS}/{folder}", storage_conn_id=s3_connection)
    (key,) = nightly(1)
    ours = [key, key, key + CHECKED]
    others = [
        *(f"{folder}/{nightly(1, 'dev/shop/none/')[0]}", f"{folder}/prod/shop_eu/none/notes.txt"),
        *(f"{folder}/{FOLDER}notes.txt", f"{folder}-2/{key}", key),
    ]
    for path in (*(f"{folder}/{path}" for path in ours), *others):
        begin_upload(path)

    def under_way() -> list[str]:
        return unfinished_uploads(s3, "", UPLOADS)

    before = under_way()
    arguments: dict[str, Any] = {"keep_last": 1, "temp_databases": False}
    assert hook.prune("prod/shop", **arguments).aborted_uploads == ()
    arguments["uploads_older_than_hours"] = 0
    assert hook.prune("prod/shop", preview=True, **arguments).aborted_uploads == tuple(ours)
    assert under_way() == before
    assert hook.prune("prod/shop", **arguments).aborted_uploads == tuple(ours)
    assert under_way() == sorted(others)
    assert hook.prune("prod/shop", **arguments).aborted_uploads == ()


def test_files_that_killed_dumps_left_are_removed_when_they_are_old(
    make_hook: MakeHook, local_storage: Path
) -> None:
    hook = make_hook("", storage_location=str(local_storage))
    key, young = nightly(2)
    days_ago = datetime.now(UTC).timestamp() - 2 * 86400
    others = [f"{FOLDER}notes.txt#1", f"{key}#one", f"prod/shop_eu/none/{Path(key).name}#1"]
    for name in (f"{key}#1", f"{key}#2", f"{young}#1", *others):
        put_file(local_storage / name)
        if not name.startswith(young):
            os.utime(local_storage / name, (days_ago, days_ago))
    pruned = hook.prune("prod/shop", keep_last=1, temp_databases=False)
    assert pruned == Pruned((), (), (key, key), ())
    left = {str(p.relative_to(local_storage)) for p in local_storage.rglob("*") if p.is_file()}
    assert left == {f"{young}#1", *others}


def test_a_prune_of_real_dumps_leaves_those_that_can_be_restored(
    shop: str, make_hook: MakeHook
) -> None:
    hook = make_hook(shop)
    keys = [hook.dump(instance="prod") for _ in range(3)]
    hook.verify(keys[0])
    assert hook.prune("prod", keep_last=1).deleted == (keys[1],)
    assert hook.restore("prod") == keys[2]
    assert hook.restore(keys[0]) == keys[0]


def test_the_operator_returns_plain_lists(
    airflow_database: None, postgres_connection: str, local_storage: Path
) -> None:
    keys = nightly(3)
    for key in keys:
        put_file(local_storage / key)
    with DAG(f"prune_{os.urandom(4).hex()}", schedule=None) as dag:
        PgClonePruneOperator(
            task_id="prune",
            postgres_conn_id=postgres_connection,
            storage_location=str(local_storage),
            prefix="{{ 'prod' }}/shop",
            keep_last="{{ 1 + 1 }}",
        )
    run = serialized(dag).test()
    assert run.state == "success"
    returned = run.get_task_instance("prune").xcom_pull(task_ids="prune")
    assert json.loads(json.dumps(returned)) == {
        "deleted": keys[:1],
        "kept": [keys[2], keys[1]],
        "aborted_uploads": [],
        "dropped_databases": [],
    }
