import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_pgclone.core.errors import InvalidInputError
from airflow_provider_pgclone.core.replacing.names import (
    MAX_DATABASE_NAME_BYTES,
    LocalKey,
    attempt_database_name,
    check_database_name,
    is_temporary_of,
    kept_database_name,
)
from airflow_provider_pgclone.core.repository.keys import (
    DumpKey,
    KeyPrefix,
    is_part_of,
    key_part,
    shares_old_part,
)

# As django_pgclone 3.8 reads its keys.
DJANGO_PGCLONE_KEY = re.compile(
    r"^[\w-]+/[\w-]+/[\w-]+/\d{4}-\d{2}-\d{2}-\d{2}-\d{2}-\d{2}-\d+\.dump$"
)
NOON = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=UTC)
KEY = "prod/shop/none/2026-11-20-12-00-00-000005.dump"

times = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.timezones(),
)
anything = st.text(min_size=1, max_size=20)


@given(anything, anything, anything, times)
def test_a_new_key_reads_back_as_itself(
    instance: str, database: str, config: str, created_at: datetime
) -> None:
    key = DumpKey.new(instance=instance, database=database, config=config, created_at=created_at)
    assert DumpKey.parse(str(key)) == key
    assert key.created_at == created_at.astimezone(UTC)


@given(anything, anything, anything, times)
def test_every_new_key_is_one_of_django_pgclone(
    instance: str, database: str, config: str, created_at: datetime
) -> None:
    key = DumpKey.new(instance=instance, database=database, config=config, created_at=created_at)
    assert DJANGO_PGCLONE_KEY.match(str(key))


def test_a_key_of_django_pgclone_is_read() -> None:
    key = DumpKey.parse("default/my_site-2/none/2022-03-04-05-06-07-123456.dump")
    assert (key.instance, key.database, key.config) == ("default", "my_site-2", "none")
    assert key.created_at == datetime(2022, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)


def test_other_characters_in_a_part_become_underscores_and_a_hash_of_the_name_follows() -> None:
    key = DumpKey.new(instance="eu/1", database="größe", config="a.b c", created_at=NOON)
    assert str(key) == (
        "eu_1-799252df/gr__e-d353a267/a_b_c-8640d2e2/2026-11-20-12-00-00-000005.dump"
    )


@given(st.lists(anything, min_size=2, max_size=9, unique=True))
def test_names_that_differ_have_parts_that_differ(names: list[str]) -> None:
    assert len({key_part(name) for name in names}) == len(names)
    assert all(is_part_of(key_part(name), name) for name in names)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,63}", fullmatch=True))
def test_a_name_that_a_key_may_contain_is_its_part(name: str) -> None:
    assert key_part(name) == name


def test_the_time_of_a_key_is_in_utc() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    key = DumpKey.new(instance="prod", database="shop", config="none", created_at=east)
    assert str(key) == KEY


@pytest.mark.parametrize("empty", ["instance", "database", "config"])
def test_an_empty_part_is_refused_by_name(empty: str) -> None:
    parts = {"instance": "prod", "database": "shop", "config": "none", empty: ""}
    with pytest.raises(InvalidInputError, match=empty):
        DumpKey.new(**parts, created_at=NOON)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prod/shop/none",
        "shop/none/2026-11-20-12-00-00-000005.dump",
        f"more/{KEY}",
        f"/{KEY}",
        f"{KEY}/",
        KEY.removesuffix(".dump"),
        f"{KEY}.dump",
        f"{KEY}#1",
        KEY.upper(),
        KEY.replace("shop", "sh op"),
        KEY.replace("shop", "größe"),
        KEY.replace("shop", ""),
        KEY.replace("shop", ".."),
        KEY.replace("-000005", ""),
        KEY.replace("-000005", "-0000005"),
        KEY.replace("2026-11-20", "2026-1-20"),
        KEY.replace("2026-11-20", "2026-13-20"),
        KEY.replace("2026-11-20", "2026-02-30"),
        KEY.replace("2026-11-20", "0000-11-20"),
        KEY.replace("12-00-00", "24-00-00"),
        KEY.replace("2026", "２０２６"),
        KEY.replace("2026", "+026"),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        DumpKey.parse(text)
    assert caught.value.message == f"{text!r} is not a dump key"
    assert caught.value.hint == "A dump key is <instance>/<database>/<config>/<timestamp>.dump."


def test_the_time_of_a_key_that_was_read_is_in_utc_too() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    key = DumpKey.new(instance="prod", database="shop", config="none", created_at=east)
    assert key.created_at.tzinfo is DumpKey.parse(KEY).created_at.tzinfo is UTC


def test_the_part_of_a_name_that_is_not_unicode_has_a_hash_as_well() -> None:
    assert key_part("shop\udce9") == "shop_-29dbe5fb"


def test_keys_sort_by_time_before_all_else() -> None:
    early = DumpKey.parse("zoo/zoo/zoo/2025-12-31-23-59-59-999999.dump")
    late = DumpKey.parse("abc/abc/abc/2026-01-01-00-00-00-000000.dump")
    assert sorted([late, early]) == [early, late]


@pytest.mark.parametrize(
    ("text", "folders", "timestamp"),
    [
        ("", (), ""),
        ("/", (), ""),
        ("prod", ("prod",), ""),
        ("prod/shop", ("prod", "shop"), ""),
        ("prod/shop/", ("prod", "shop"), ""),
        ("prod/shop/none", ("prod", "shop", "none"), ""),
        ("prod/shop/none/2026-1", ("prod", "shop", "none"), "2026-1"),
        ("prod/shop/none/2026-11-20-", ("prod", "shop", "none"), "2026-11-20-"),
        (KEY, ("prod", "shop", "none"), "2026-11-20-12-00-00-000005"),
        ("X/", ("X",), ""),
        ("X", ("X",), ""),
    ],
)
def test_a_prefix_is_made_of_whole_parts_but_for_the_time(
    text: str, folders: tuple[str, ...], timestamp: str
) -> None:
    assert KeyPrefix.parse(text) == KeyPrefix(folders, timestamp)


def test_a_prefix_as_text_ends_where_its_part_ends() -> None:
    assert str(KeyPrefix.parse("")) == ""
    assert str(KeyPrefix.parse("prod/shop")) == "prod/shop/"
    assert str(KeyPrefix.parse("prod/shop/none/2026-1")) == "prod/shop/none/2026-1"


@pytest.mark.parametrize(
    "text",
    [
        *("/prod", "prod//shop", "../shop", "pr*d", "a/b/c/now", "a/b/c/2026/x", "a/b/c/٢٠"),
        *("größe", "a/b/c/2026/1", "a/b/c/2026/1/2", ".dump", "/.dump/"),
    ],
)
def test_a_prefix_that_no_key_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="no dump key starts with"):
        KeyPrefix.parse(text)


def test_a_prefix_with_the_name_of_a_database_is_told_the_part_of_its_keys() -> None:
    with pytest.raises(InvalidInputError, match="no dump key starts with") as caught:
        KeyPrefix.parse("prod/sales.eu")
    assert caught.value.message == "no dump key starts with 'prod/sales.eu'"
    assert caught.value.hint == (
        "A prefix is made of whole parts of <instance>/<database>/<config>/<timestamp>. "
        f"Write {key_part('sales.eu')} for 'sales.eu'."
    )
    with pytest.raises(InvalidInputError) as caught:
        KeyPrefix.parse("prod//shop")
    assert caught.value.hint == (
        "A prefix is made of whole parts of <instance>/<database>/<config>/<timestamp>."
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (" sm/shop ", ("' sm'", "'shop '")),
        ("prod/shop/none/2026-11 ", ("'2026-11 '",)),
        (" :pre", ("' :pre'",)),
    ],
)
def test_blanks_around_a_part_of_a_prefix_are_told(text: str, told: Sequence[str]) -> None:
    with pytest.raises(InvalidInputError, match="no dump key starts with") as caught:
        KeyPrefix.parse(text)
    shown = " ".join(f"There are blanks around {part}." for part in told)
    assert str(caught.value.hint).endswith(f"<timestamp>. {shown}")


@pytest.mark.parametrize(("text", "part"), [(f" {KEY}", "' prod'"), (f"{KEY}\n", r"'.*dump\\n'")])
def test_blanks_around_a_key_are_told(text: str, part: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"is not a dump key.* blanks around {part}\."):
        DumpKey.parse(text)


@pytest.mark.parametrize("text", [":before_migration", ":pre"])
def test_a_local_key_is_no_prefix(text: str) -> None:
    with pytest.raises(InvalidInputError, match=f"'{text}' is a local key, and no local key is"):
        KeyPrefix.parse(text)


def test_a_local_key_is_a_colon_and_a_database_name() -> None:
    key = LocalKey.parse(":Before Migration")
    assert (str(key), key.database_name("shop")) == (":Before Migration", "Before Migration")


@pytest.mark.parametrize("role", ["pre", "post"])
def test_the_reserved_local_keys_stand_beside_their_target(role: str) -> None:
    key = LocalKey.parse(f":{role}")
    assert key.is_reserved
    assert key.database_name("shop") == f"shop__{role}" == kept_database_name("shop", role)


@pytest.mark.parametrize("text", ["", "shop", ":", ":a\0b", ":" + "x" * 64, ":" + "ü" * 32])
def test_what_is_no_local_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        LocalKey.parse(text)


def test_the_length_of_a_name_counts_in_bytes() -> None:
    check_database_name("x" * 63)
    check_database_name("ü" * 31 + "x")
    with pytest.raises(InvalidInputError, match="has 64 bytes"):
        check_database_name("ü" * 32)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_the_name_of_an_attempt_always_fits_and_ends_in_its_role(target: str) -> None:
    name = attempt_database_name(target, "temp", "1a2b3c4d")
    cut, role, attempt = name.rpartition("__temp_")
    check_database_name(name)
    assert (role, attempt) == ("__temp_", "1a2b3c4d")
    start, dash, digits = cut.rpartition("-")
    assert cut == target or target.startswith(start)
    assert cut == target or (dash, digits) == ("-", sha256(target.encode()).hexdigest()[:16])
    assert is_temporary_of(name, target)
    assert not is_temporary_of(name, f"{target}x")


def test_the_name_of_an_attempt_is_cut_at_a_character_and_no_earlier() -> None:
    name = attempt_database_name("€" * 20, "temp", "1a2b3c4d")
    assert name == "€" * 10 + "-d7a95ce32182fc18__temp_1a2b3c4d"
    assert len(name.encode()) == MAX_DATABASE_NAME_BYTES - 1
    assert attempt_database_name("€" * 16, "temp", "1a2b3c4d") == "€" * 16 + "__temp_1a2b3c4d"


@pytest.mark.parametrize("name", ["", "x", "shop__temp_", "shop__pre", "shop_temp_1a2b3c4d"])
def test_another_name_is_not_that_of_a_temporary_database(name: str) -> None:
    assert not is_temporary_of(name, "shop")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("prod", ("prod",)),
        ("prod/shop", ("prod", "shop")),
        ("prod/shop/none", ("prod", "shop")),
        ("prod/shop/none/2026", ("prod", "shop")),
    ],
)
def test_the_names_of_a_prefix_are_its_instance_and_its_database(
    text: str, names: tuple[str, ...]
) -> None:
    assert KeyPrefix.parse(text).names == names


@pytest.mark.parametrize(
    ("part", "name", "shares"),
    [
        ("sales_eu", "sales.eu", True),
        ("sales-2_eu", "sales-2.eu", True),  # more than one hyphen
        ("sales_eu", "sales_us.", False),
        ("sales_eu", "sales_eu", False),
    ],
)
def test_a_part_is_that_of_another_name_in_the_keys_of_earlier_versions(
    part: str, name: str, shares: bool
) -> None:
    assert shares_old_part(part, key_part(name)) is shares


@pytest.mark.parametrize("other", ["sales_eu-1", "sales_eu-nothexad", "sales_eu"])
def test_what_has_no_hash_did_not_have_the_part_of_another_name(other: str) -> None:
    assert not shares_old_part("sales_eu", other)
