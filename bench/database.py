"""The database of the benchmarks: mixed tables, one of them over half of it."""

import psycopg

from example_dags.services import PostgresServer

NAME = "bench"

_TABLES = """
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
CREATE TABLE small AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 1000) n
"""
_PRIMARY_KEYS = """
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE users ADD PRIMARY KEY (id);
ALTER TABLE orders ADD PRIMARY KEY (id)
"""
INDEXES = (
    "CREATE INDEX ON events USING gin (payload jsonb_path_ops)",
    "CREATE INDEX ON events (at)",
    "CREATE INDEX ON users (email)",
)
# What the primary keys cost: they need a lock of their table alone, and these may run at once.
UNIQUE_INDEXES = tuple(
    f"CREATE UNIQUE INDEX ON {table} (id)" for table in ("events", "users", "orders")
)


def fill(server: PostgresServer, *, million_events: float) -> int:
    """Make the database, and return how many bytes its tables have."""
    with psycopg.connect(server.uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
    return make_tables(server, NAME, million_events=million_events)


def make_tables(server: PostgresServer, name: str, *, million_events: float) -> int:
    """Make the tables in an empty database, and return how many bytes they have."""
    events = int(million_events * 1e6)
    counts = {"events": events, "users": events // 4, "orders": events // 2}
    with psycopg.connect(server.uri(name), autocommit=True) as connection:
        statements = [*_TABLES.format(**counts).split(";"), *_PRIMARY_KEYS.split(";"), *INDEXES]
        for statement in (*statements, "VACUUM ANALYZE"):
            connection.execute(statement.encode())
        row = connection.execute(
            "SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relkind = 'r' AND oid > 16384"
        ).fetchone()
    return int(row[0]) if row else 0


def copies(server: PostgresServer) -> dict[str, str]:
    """Return what to COPY at once: queries, each with the table that it reads.

    The largest table comes in two halves.
    """
    with psycopg.connect(server.uri(NAME)) as connection:
        row = connection.execute(
            "SELECT relpages / 2 FROM pg_class WHERE relname = 'events'"
        ).fetchone()
    middle = f"'({row[0] if row else 0},0)'"
    return {
        f"(SELECT * FROM events WHERE ctid < {middle})": "events",
        f"(SELECT * FROM events WHERE ctid >= {middle})": "events",
        "users": "users",
        "orders": "orders",
    }
