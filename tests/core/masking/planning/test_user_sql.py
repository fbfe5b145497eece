"""What SQL of a user names."""

from datetime import UTC, datetime

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.planning.user_sql import (
    at_instant,
    may_name,
    schemas_of_called,
)


@pytest.mark.parametrize(
    ("sql", "schemas"),
    [
        ("public.mask_it(t)", {"public"}),
        ('Lib.f (x) || "Q s".g(1)', {"lib", "Q s"}),
        ("shop.lib.f(x)", {"lib"}),
        ("x OPERATOR(lib.+) 1", {"lib"}),
        ('x operator ( shop . "li b" . |+| ) 1', {"li b"}),
        ("x OPERATOR(+) lower(t) || 'public.f(x)'", set()),
        ("(SELECT t FROM public.lookup WHERE k = 1)", set()),
        ('x OPERATOR("my(db".app.+) 1', {"app"}),
        ('"operator(".f(x) OPERATOR(app.+) (t.*)', {"operator(", "app"}),
        # PostgreSQL takes all that is beyond ASCII for letters, which have no capitals.
        ("Äb.f(name)", {"Äb"}),
        ("🔥.f(name) || a–b.f(name) || x’y.f(name)", {"🔥", "a–b", "x’y"}),
        ("a\u00a0b.f(name) || c \u00a0.f(name)", {"a\u00a0b", "\u00a0"}),
        ("🔥E'\\' || lib.f('x')", {"lib"}),
        ("$–$'$–$ || lib.f($’$'$’$)", {"lib"}),
        (f"{'s' * 70}.f(name)", {"s" * 63}),
        (f'"{"é" * 40}".f(name)', {"é" * 31}),
    ],
)
def test_the_schemas_of_what_is_called_are_known(sql: str, schemas: set[str]) -> None:
    assert schemas_of_called(sql) == schemas


def test_a_long_name_is_known_by_its_start() -> None:
    assert may_name(f"SELECT n FROM public.{'t' * 70}", "t" * 63)
    assert may_name(f'SELECT n FROM public."{"é" * 40}"', "é" * 31)
    assert not may_name("SELECT n FROM public.lookups", "lookup")


def test_a_name_that_hides_its_letters_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has a name with Unicode escapes"):
        at_instant('U&"li\\0062".f(name)', datetime.now(UTC))
