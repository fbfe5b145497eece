"""Whoever has masked numbers, and knows some of the originals, cannot compute the others."""

from collections.abc import Iterator
from decimal import Decimal, getcontext

import psycopg
import pytest

from airflow_provider_pgclone.core.masking.rules.key import MAX_BIGINT, derived_secrets
from example_dags.services import PostgresServer
from tests.support.fixtures.mask_examples import KEY, masked

KNOWN = "73412.6180339887498948482045868343656381177"
HALF = 2**62


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres.uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE mask_noise TEMPLATE template0 ENCODING 'UTF8'")
        yield "mask_noise"
        connection.execute("DROP DATABASE mask_noise")


@pytest.fixture(autouse=True)
def enough_digits() -> Iterator[None]:
    before = getcontext().prec
    getcontext().prec = 60
    yield
    getcontext().prec = before


def moved_part(server: PostgresServer, database: str, percent: int, before: str) -> Decimal:
    """Return by which part of the possible distance a value was moved, from -1 to 1."""
    after = masked(server, database, f'{{"noise": {percent}}}', before)
    assert after is not None
    original = Decimal(before.partition("::")[0])
    return (Decimal(after) / original - 1) * 100 / percent


def test_two_percentages_move_a_value_by_different_parts(
    postgres: PostgresServer, database: str
) -> None:
    parts = [moved_part(postgres, database, percent, f"{KNOWN}::numeric") for percent in (10, 25)]
    assert abs(parts[0] - parts[1]) > Decimal("1e-6")


def test_two_types_move_a_value_by_different_parts(postgres: PostgresServer, database: str) -> None:
    parts = [
        moved_part(postgres, database, 10, f"73412.5::{name}") for name in ("numeric", "float8")
    ]
    assert abs(parts[0] - parts[1]) > Decimal("1e-6")


def test_a_known_value_does_not_show_the_hash_of_a_seed(
    postgres: PostgresServer, database: str
) -> None:
    """The hash of PostgreSQL can be computed backwards, from its result to the seed."""
    steps = moved_part(postgres, database, 10, f"{KNOWN}::numeric") * HALF
    _, _, *seeds = derived_secrets(KEY)
    with psycopg.connect(postgres.uri(database)) as connection:
        for seed in seeds:
            row = connection.execute(
                "SELECT hash_numeric_extended(%s::numeric, %s::bigint) & %s::bigint",
                [KNOWN, seed, MAX_BIGINT],
            ).fetchone()
            assert row is not None
            assert abs(row[0] - HALF - steps) > HALF // 10**6


@pytest.mark.parametrize("value", [-3, -2, -1, 1, 2, 3])
def test_a_small_integer_is_moved(postgres: PostgresServer, database: str, value: int) -> None:
    after = masked(postgres, database, '{"noise": 1}', f"({value})::integer")
    assert after is not None
    assert abs(int(after) - value) == 1


def test_zero_stays_zero(postgres: PostgresServer, database: str) -> None:
    assert masked(postgres, database, '"noise"', "0::integer") == "0"
    assert masked(postgres, database, '"noise"', "0.00::numeric(10, 2)") == "0.00"
