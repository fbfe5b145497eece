"""A moment is moved by microseconds, so that its time of day does not tell the row."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

from example_dags.services import PostgresServer
from tests.support.fixtures.mask_examples import masked

MOMENT = "2024-03-01 12:34:56.789012"


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[str]:
    with psycopg.connect(postgres.uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE mask_shift TEMPLATE template0 ENCODING 'UTF8'")
        yield "mask_shift"
        connection.execute("DROP DATABASE mask_shift")


def shift_of(server: PostgresServer, database: str, days: int, text: str = MOMENT) -> timedelta:
    after = masked(server, database, f'{{"date_shift": {days}}}', f"'{text}'::timestamp")
    assert after is not None
    return datetime.fromisoformat(after) - datetime.fromisoformat(text)


@pytest.mark.parametrize("days", [1, 2, 180, 36500])
def test_it_moves_by_half_a_day_at_least_and_changes_the_time_of_day(
    postgres: PostgresServer, database: str, days: int
) -> None:
    shifts = [
        shift_of(postgres, database, days, f"2024-03-01 12:34:{second}.789012")
        for second in range(10, 30)
    ]
    for shift in shifts:
        assert timedelta(hours=12) <= abs(shift) <= timedelta(days=days)
    assert {shift > timedelta(0) for shift in shifts} == {True, False}
    # On the day, on the second, on the same fraction of a second: none stays.
    assert len({shift % timedelta(days=1) for shift in shifts}) == len(shifts)
    assert len({shift % timedelta(seconds=1) for shift in shifts}) == len(shifts)


def test_two_numbers_of_days_move_a_moment_by_different_parts(
    postgres: PostgresServer, database: str
) -> None:
    parts = [shift_of(postgres, database, days) / timedelta(days=days) for days in (100, 200)]
    assert abs(parts[0] - parts[1]) > 1e-6


def test_the_same_moment_moves_alike_with_and_without_a_time_zone(
    postgres: PostgresServer, database: str
) -> None:
    with_zone = masked(
        postgres, database, '{"date_shift": 30}', f"'{MOMENT}+00'::timestamptz::timestamptz"
    )
    without = masked(postgres, database, '{"date_shift": 30}', f"'{MOMENT}'::timestamp")
    assert with_zone is not None
    assert without is not None
    assert with_zone.startswith(without)


def test_no_moment_and_infinity_stay(postgres: PostgresServer, database: str) -> None:
    assert masked(postgres, database, '"date_shift"', "NULL::timestamp") is None
    assert masked(postgres, database, '"date_shift"', "'infinity'::timestamp") == "infinity"
