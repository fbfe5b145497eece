"""The databases of the benchmarks, of which one run has one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from example_dags.services import PostgresServer

NAME = "bench"
# With these all databases have the size of their descriptions.
FULL_MILLION_EVENTS = 4.0

_EVENTS = """
CREATE TABLE events AS
    SELECT n AS id, 'session ' || md5(n::text) AS session,
        jsonb_build_object(
            'user', n % 10000, 'path', '/shop/' || md5((n % 500)::text), 'ms', n % 977
        ) AS payload,
        (n * 1.37)::numeric(12, 2) AS amount, now() - n * interval '1 second' AS at
    FROM generate_series(1, {events}) n;
CREATE TABLE users AS
    SELECT n AS id, 'user' || n || '@example.org' AS email,
        repeat('words of a biography ', 5) || n AS bio
    FROM generate_series(1, {users}) n;
CREATE TABLE orders AS
    SELECT n AS id, n % {users} AS user_id, md5(n::text) AS reference, n % 97 AS total
    FROM generate_series(1, {orders}) n;
CREATE TABLE small AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 1000) n;
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE users ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON events USING gin (payload jsonb_path_ops);
CREATE INDEX ON events (at);
CREATE INDEX ON users (email)
"""

_ORDERS = """
CREATE TABLE customers AS
    SELECT n AS id, 'customer' || n || '@example.org' AS email,
        jsonb_build_object(
            'segment', n % 40, 'city', md5((n % 200000)::text), 'visits', n % 977,
            'tags', jsonb_build_array(n % 11, n % 13, n % 17)
        ) AS profile
    FROM generate_series(1, {customers}) n;
CREATE TABLE orders AS
    SELECT n AS id, n % {customers} + 1 AS customer_id, md5(n::text) AS reference,
        (n * 1.37)::numeric(12, 2) AS total, n % 7 AS status,
        timestamptz '2026-01-01' - n * interval '1 second' AS placed_at
    FROM generate_series(1, {orders}) n;
ALTER TABLE customers ADD PRIMARY KEY (id);
CREATE INDEX ON customers USING gin (profile);
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON orders (placed_at);
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers
"""

_INDEXED = """
CREATE TABLE {table} AS
    SELECT n AS id, 'label ' || md5((n % 20000)::text) AS label, md5(n::text) AS code,
        ARRAY[n % 101, n % 499, n % 1999] AS tags,
        tstzrange(
            timestamptz '2026-01-01' + n * interval '1 minute',
            timestamptz '2026-01-01' + (n + n % 600 + 1) * interval '1 minute'
        ) AS span,
        timestamptz '2026-01-01' + n * interval '1 second' AS at
    FROM generate_series(1, {rows}) n;
ALTER TABLE {table} ADD PRIMARY KEY (id);
CREATE INDEX ON {table} (label);
CREATE INDEX ON {table} USING hash (code);
CREATE INDEX ON {table} USING gin (tags);
CREATE INDEX ON {table} USING gist (span);
CREATE INDEX ON {table} USING brin (at)
"""
_INDEXED_TABLES = 30
# The smallest of the tables; the largest has three times as many.
_INDEXED_ROWS = 28_500


@dataclass(frozen=True)
class Content:
    """What a database of the benchmarks holds.

    :param description: of its full size.
    :param statements: returns the SQL that makes it, for a share of its full size.
    """

    name: str
    description: str
    statements: Callable[[float], list[str]]


def _split(script: str) -> list[str]:
    return [statement for statement in script.split(";") if statement.strip()]


def _events(share: float) -> list[str]:
    events = int(share * 4e6)
    return _split(_EVENTS.format(events=events, users=events // 4, orders=events // 2))


def _orders(share: float) -> list[str]:
    orders = int(share * 3.05e6)
    return _split(_ORDERS.format(orders=orders, customers=orders // 7))


def _indexes(share: float) -> list[str]:
    return [
        statement
        for n in range(_INDEXED_TABLES)
        for statement in _split(
            _INDEXED.format(
                table=f"t{n}", rows=max(1, int(share * _INDEXED_ROWS * (1 + n % 5 / 2)))
            )
        )
    ]


CONTENTS: Mapping[str, Content] = {
    content.name: content
    for content in (
        Content("events", "1.1 GB of mixed tables, of which one has over half", _events),
        Content("orders", "0.6 GB: a large table with three indexes, a GIN, a key", _orders),
        Content("indexes", "30 tables of 5 to 15 MB, with six indexes each", _indexes),
    )
}


def make(server: PostgresServer, name: str, content: Content, *, million_events: float) -> None:
    """Make the tables in an empty database."""
    statements = content.statements(million_events / FULL_MILLION_EVENTS)
    with psycopg.connect(server.uri(name), autocommit=True) as connection:
        for statement in (*statements, "VACUUM ANALYZE"):
            connection.execute(statement.encode())
