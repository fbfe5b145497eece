"""The shop's databases, in production and on staging, and what is counted in them."""

from pathlib import Path

import psycopg

from example_dags.services import PostgresServer

PRODUCTION = "shop"
STAGING = "shop_staging"
BEFORE = f"{STAGING}__pre"

COUNTS = {
    "users": "SELECT count(*) FROM users",
    "users with a real email": (
        "SELECT count(*) FROM users WHERE email NOT LIKE '%@example.invalid'"
    ),
    "orders": "SELECT count(*) FROM orders",
    "mails in the outbox": "SELECT count(*) FROM outbox",
    "payments": "SELECT value FROM settings WHERE name = 'payments'",
}


def create_shop(server: PostgresServer) -> None:
    """Fill production, and staging with the fewer rows of an older refresh."""
    for database, rows in ((PRODUCTION, "production_rows.sql"), (STAGING, "staging_rows.sql")):
        run(server, "postgres", f"CREATE DATABASE {database}")
        run(server, database, _script("shop.sql"))
        run(server, database, _script(rows))


def count(server: PostgresServer, database: str) -> dict[str, object]:
    """Return the value of each of ``COUNTS``."""
    with psycopg.connect(server.uri(database)) as connection:
        rows = {name: connection.execute(query).fetchone() for name, query in COUNTS.items()}
    return {name: row[0] if row else None for name, row in rows.items()}


def _script(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def run(server: PostgresServer, database: str, statements: str) -> None:
    with psycopg.connect(server.uri(database), autocommit=True) as connection:
        connection.execute(statements.encode())
