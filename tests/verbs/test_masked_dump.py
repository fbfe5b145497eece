"""Masked dumps and copies: no planted value is in them, in a log or anywhere on the way."""

import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import PgCloneError
from example_dags.services import PostgresServer
from tests.support.fixtures.canaries import CANARIES_SQL, MASKS, everything, found_in
from tests.support.fixtures.databases import MakeDatabase, Server
from tests.support.fixtures.every_kind import split_small_tables
from tests.support.fixtures.hooks import MakeHook

KEY = "a key that nobody can guess"


@pytest.fixture
def people(make_database: MakeDatabase) -> str:
    return make_database(CANARIES_SQL)


def leaks(server: Server, database: str) -> list[str]:
    """Return the tables in which a canary stands."""
    tables = server.rows(
        database,
        "SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'm') AND nspname = 'public'",
    )
    return [
        table
        for (table,) in tables
        if any(found_in(str(row).encode()) for row in server.rows(database, f"TABLE {table}"))
    ]


@pytest.mark.parametrize("is_split", [False, True])
def test_no_canary_is_in_the_archive_or_the_log(
    server: Server,
    people: str,
    make_hook: MakeHook,
    local_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    is_split: bool,
) -> None:
    if is_split:
        split_small_tables(monkeypatch, 16 * 1024)
    hook = make_hook(people)
    with caplog.at_level("DEBUG"):
        unmasked = hook.dump()
        masked = hook.dump(masks=MASKS, mask_key=KEY, jobs=2, checksums=True)
        assert hook.verify(masked, level="restore") == masked
        make_hook("masked_people").restore(masked, checksums=True, require_masked=True)
    # The test can fail: a dump without masks has them all.
    whole = everything(server.server, hook, unmasked, local_storage / unmasked)
    assert {b"canary", b"717171717", b"ca0a0a0a", b"11:12:13"} <= found_in(whole)
    content = everything(server.server, hook, masked, local_storage / masked)
    assert found_in(content) == set()
    assert KEY.encode() not in content
    for path in local_storage.rglob("*"):
        if path.is_file() and path != local_storage / unmasked:
            assert KEY.encode() not in path.read_bytes()
    said = caplog.text + "".join(capfd.readouterr())
    assert "masking" in said
    assert not found_in(said.encode())
    assert KEY not in said
    assert "pgclone.mask_key" not in said
    assert leaks(server, people) != []
    assert leaks(server, "masked_people") == []


def test_what_is_not_masked_stays_as_it_was(
    server: Server, people: str, make_hook: MakeHook
) -> None:
    key = make_hook(people).dump(masks=MASKS, mask_key=KEY)
    make_hook("masked_people").restore(key)
    for query in (
        'SELECT id, kept FROM "Odd ""people" ORDER BY id',
        "SELECT day, count(*) FROM parts GROUP BY 1 ORDER BY 1",
        "SELECT tableoid::regclass::text, count(*) FROM parts GROUP BY 1 ORDER BY 1",
        'SELECT char_length(text_) FROM "Odd ""people" ORDER BY id',
    ):
        assert server.rows(people, query) == server.rows("masked_people", query)
    upper = 'SELECT bool_and(upper_ = upper(text_)) FROM "Odd ""people"'
    assert server.value("masked_people", upper) is True
    assert server.value("masked_people", "SELECT count(*) FROM seen") == 300


def test_the_same_value_becomes_the_same_in_each_dump_by_one_key(
    server: Server, people: str, make_hook: MakeHook
) -> None:
    hook = make_hook(people)
    for name, key in (("one", KEY), ("again", KEY), ("other", f"{KEY} other")):
        make_hook(f"masked_{name}").restore(hook.dump(masks=MASKS, mask_key=key))
    query = 'SELECT * FROM "Odd ""people" ORDER BY id'
    one, again, other = (
        [str(row) for row in server.rows(f"masked_{name}", query)]
        for name in ("one", "again", "other")
    )
    assert one == again
    assert not set(one) & set(other)


def test_a_copy_by_stream_is_masked_alike(
    server: Server, people: str, make_hook: MakeHook, postgres_connection: str
) -> None:
    hook = make_hook(people)
    hook.copy(target="masked_copy", method="stream", masks=MASKS, mask_key=KEY)
    make_hook("masked_people").restore(hook.dump(masks=MASKS, mask_key=KEY))
    assert leaks(server, "masked_copy") == []
    query = 'SELECT * FROM "Odd ""people" ORDER BY id'
    copied, restored = (server.rows(name, query) for name in ("masked_copy", "masked_people"))
    assert [str(row) for row in copied] == [str(row) for row in restored]
    with pytest.raises(PgCloneError, match="must be masked"):
        hook.copy(target="masked_copy", method="stream", require_masked=True)


def test_the_key_is_in_no_statement_no_argument_and_no_environment(
    server: Server, people: str, make_hook: MakeHook
) -> None:
    """Of no session and no program, as often as one can look while a dump runs."""
    from airflow_provider_pgclone.core.masking.rules.key import with_key
    from airflow_provider_pgclone.core.postgres.database import Database

    secret = with_key(Database(people), KEY).parameters["options"].split("=")[1].split()[0]
    seen: list[str] = []
    done = threading.Event()

    def look() -> None:
        with server.connect("postgres") as connection:
            while not done.is_set():
                query = "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                seen.extend(row[0] for row in connection.execute(query))
                seen.append(subprocess.run(["ps", "axwwe"], capture_output=True, text=True).stdout)

    def has_looked() -> bool:
        return any("COPY (SELECT" in text or "psql" in text for text in [*seen])

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(20):  # on a busy machine a dump may end between two looks
            make_hook(people).dump(masks=MASKS, mask_key=KEY, jobs=2)
            if has_looked():
                break
    finally:
        done.set()
        watcher.join()
    assert has_looked()
    assert not any(secret in text or KEY in text for text in seen)


@pytest.mark.parametrize(
    ("column", "rule", "type_name"),
    [
        ("text_", {"sql": "text_::int::text"}, "InvalidTextRepresentation"),
        ("varchar_", {"sql": "repeat(varchar_, 9)"}, "22001"),
        ("mail_", {"sql": "'none ' || kept"}, "CheckViolation"),
    ],
)
def test_an_error_of_a_masked_row_does_not_tell_it(
    people: str,
    make_hook: MakeHook,
    local_storage: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    column: str,
    rule: Any,
    type_name: str,
) -> None:
    hook = make_hook(people)
    masks = {**MASKS, 'public."Odd ""people"': {**MASKS['public."Odd ""people"'], column: rule}}
    with caplog.at_level("DEBUG"), pytest.raises(PgCloneError) as caught:
        hook.dump(masks=masks, mask_key=KEY)
    said = f"{caught.value}{caught.value.__cause__}{caplog.text}{''.join(capfd.readouterr())}"
    assert not found_in(said.encode())
    assert column in said or "Odd" in said
    assert hook.ls() == []


def test_values_reach_no_program_of_the_worker(
    people: str, make_hook: MakeHook, tmp_path: Path, postgres: PostgresServer
) -> None:
    """A pg_dump and a psql that keep what they are given and what they write."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    for program in ("pg_dump", "pg_restore", "psql"):
        real = postgres.bin_dir / program
        kept = tmp_path / f"{program}.kept"
        wrapped = bin_dir / program
        wrapped.write_text(
            f"#!/bin/bash\\nset -o pipefail\\n"
            f'if [ "$1" = --version ] || [ "$1" = --help ]; then exec {real} "$@"; fi\\n'
            f'tee -a {kept} | {real} "$@" | tee -a {kept}\\n'.replace("\\n", "\n")
            if program != "pg_restore"
            else f'#!/bin/bash\nexec {real} "$@"\n'
        )
        wrapped.write_text(wrapped.read_text().replace("\\n", "\n"))
        wrapped.chmod(0o755)
    hook = make_hook(people, pg_bin_dir=str(bin_dir))
    hook.dump(masks=MASKS, mask_key=KEY, jobs=1)
    kept_bytes = b"".join(path.read_bytes() for path in tmp_path.glob("*.kept"))
    assert b"COPY (SELECT" in kept_bytes
    assert b"PGDMP" in kept_bytes
    # What is asked for names constants, never rows.
    assert found_in(kept_bytes) == set()
    assert os.environ.get("PGOPTIONS") is None


def test_masks_come_from_a_configuration_and_a_file(
    server: Server,
    people: str,
    make_hook: MakeHook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "masks.json"
    file.write_text(json.dumps(MASKS))
    configs = {"nightly": {"masks": str(file), "mask_key_conn_id": "mask_key"}}
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS", json.dumps(configs))
    monkeypatch.setenv("AIRFLOW_CONN_MASK_KEY", json.dumps({"conn_type": "x", "password": KEY}))
    key = make_hook(people, config="nightly").dump()
    assert "/nightly/" in key
    make_hook("masked_people").restore(key, require_masked=True)
    assert leaks(server, "masked_people") == []
