"""What SQL of a user names."""

from datetime import UTC, datetime

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.masking.planning.user_sql import at_instant, schemas_of_called


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
    ],
)
def test_the_schemas_of_what_is_called_are_known(sql: str, schemas: set[str]) -> None:
    assert schemas_of_called(sql) == schemas


def test_a_name_that_hides_its_letters_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has a name with Unicode escapes"):
        at_instant('U&"li\\0062".f(name)', datetime.now(UTC))
