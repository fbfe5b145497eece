"""How long a dump takes in which personal data is masked, beside one without and the other ways."""

from functools import partial

import psycopg

from bench.commands import at_once, ours, shell, upload
from bench.measure import Command
from bench.stage import Stage

NAME = "bench_people"
COPY = "bench_people_copy"
# Of every person, seven things that are not masked beside the five that are.
_TABLES = """
CREATE TABLE people AS
    SELECT n AS id, 'person.' || n || '@mail.example.org' AS email,
        'Given' || n % 5003 || ' Family' || n % 20011 AS full_name,
        '+49 170 ' || 1000000 + n AS phone, 'City ' || n % 4001 AS city,
        date '1950-01-01' + (n % 20000)::int AS born,
        (n * 1.37)::numeric(12, 2) AS balance, now() - n * interval '1 second' AS created_at,
        md5(n::text) AS reference, n % 7 AS level,
        jsonb_build_object('path', '/shop/' || md5((n % 500)::text), 'ms', n % 977) AS last_visit,
        repeat('what they have bought and when ', 3) || md5((n * 7)::text) AS history
    FROM generate_series(1, {people}) n;
CREATE TABLE orders AS
    SELECT n AS id, n % {people} AS person, md5(n::text) AS reference, n % 97 AS total
    FROM generate_series(1, {people}) n;
"""
MASKS = {
    "public.people": {
        "email": "email",
        "full_name": "name",
        "phone": "phone",
        "city": "city",
        "born": "date_shift",
    }
}
# What most would do with a phone number that nobody is to call.
WITHOUT_PHONE = {"public.people": {**MASKS["public.people"], "phone": "null"}}
_UPDATE = (
    "UPDATE people SET email = 'user' || id || '@example.com', full_name = 'User ' || id, "
    "phone = '+999' || lpad(id::text, 11, '0'), city = 'City', "
    "born = born + (hashint4(id) % 180)"
)
# A line of COPY, of which a program replaces five fields.
_AWK = (
    r"""awk -F'\t' -v OFS='\t' '{$2 = "user" $1 "@example.com"; $3 = "User " $1; """
    r"""$4 = "+999" $1; $5 = "City"; $6 = substr($6, 1, 4) "-01-01"; print}'"""
)


def compare_masking(stage: Stage) -> None:
    _fill(stage)
    environment = stage.environment(name=NAME)
    command = partial(Command, environment=environment, prepare=stage.settle)
    maintenance = "psql --quiet --dbname=postgres --command"
    in_a_copy = (
        f'{maintenance} "DROP DATABASE IF EXISTS {COPY}"; '
        f'{maintenance} "CREATE DATABASE {COPY} TEMPLATE {NAME}"; '
        f'psql --quiet --dbname={COPY} --command "{_UPDATE}"; '
        f"pg_dump -Fc --compress=zstd:1 --dbname={COPY} | {upload('copy.dump')}; "
        f'{maintenance} "DROP DATABASE {COPY}"'
    )
    copies = {"people": f"{_AWK} | ", "orders": ""}
    by_rows = at_once(
        f'psql --quiet --command "COPY {table} TO STDOUT" | {change}gzip -1 | {upload(table)}'
        for table, change in copies.items()
    )
    commands = [
        command("this package, nothing masked, 2 jobs", ours("dump", 2)),
        command("this package, five columns masked, 2 jobs", ours("dump_masked", 2)),
        command("the same, with phone numbers as null", ours("dump_masked", 2, "without_phone")),
        command("copy by template, UPDATE, pg_dump -Fc zstd, aws s3 cp, drop", shell(in_a_copy)),
        command("one COPY a table, fields replaced by awk, gzip -1, aws s3 cp", shell(by_rows)),
    ]
    stage.compare("masked-dump", "Masked dump", commands, verb="masking", database=NAME)
    stage.drop(NAME)


def _fill(stage: Stage) -> None:
    stage.make_empty(NAME)
    with psycopg.connect(stage.server.uri(NAME), autocommit=True) as connection:
        for statement in _TABLES.format(people=int(stage.asked.million_events * 0.6e6)).split(";"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
