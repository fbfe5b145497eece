"""What is derived from a mask key, and over which connections it may go."""

import hashlib
import hmac

import pytest

from airflow_provider_pgclone.core.errors import InvalidInputError, UnsupportedError
from airflow_provider_pgclone.core.masking.rules.key import (
    Seed,
    check_key,
    check_no_service,
    derived_secrets,
    encrypted,
    seed,
    with_key,
)
from airflow_provider_pgclone.core.postgres import Database

KEY = "a key that is long enough"


def hmac_of(purpose: str) -> bytes:
    message = f"pgclone mask {purpose}".encode()
    return hmac.new(KEY.encode(), message, hashlib.sha256).digest()


def test_the_secrets_of_a_key_stay_the_same() -> None:
    """Written out: a change would give every value another mask."""
    seeds = [
        str(int.from_bytes(hmac_of(f"seed {number}")[:8], "big", signed=True))
        for number in range(19)
    ]
    expected = [hmac_of("key").hex(), hmac_of("noise key").hex(), *seeds]
    assert derived_secrets(KEY) == expected
    assert any(int(one) < 0 for one in seeds)


def test_sessions_get_the_secrets_before_all_other_options() -> None:
    key, noise, *seeds = derived_secrets(KEY)
    own = (
        f"-c pgclone.mask_key={key} -c pgclone.mask_noise_key={noise} "
        f"-c pgclone.mask_seeds={','.join(seeds)}"
    )
    assert with_key(Database("shop"), KEY).parameters == {"options": own}
    given = Database("shop", {"options": "-c geqo=off \\", "host": "db"})
    expected = {"options": f"{own} -c geqo=off \\", "host": "db"}
    assert with_key(given, KEY).parameters == expected


def test_a_seed_is_read_by_its_place_from_one_on() -> None:
    assert seed(Seed.EMAIL) == (
        "(SELECT split_part(current_setting('pgclone.mask_seeds'), ',', 1)::bigint)"
    )
    assert seed(Seed.DIGITS + 7).endswith(", 19)::bigint)")


def test_a_key_has_sixteen_characters_at_least() -> None:
    check_key("k" * 16)
    with pytest.raises(InvalidInputError) as caught:
        check_key("k" * 15)
    assert caught.value.message == "the mask key has fewer than 16 characters"
    assert caught.value.hint == "Create a random key, such as with `openssl rand -hex 32`."


def test_a_service_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSERVICE", raising=False)
    check_no_service()
    monkeypatch.setenv("PGSERVICE", "")
    check_no_service()
    monkeypatch.setenv("PGSERVICE", "prod")
    with pytest.raises(UnsupportedError) as caught:
        check_no_service()
    assert caught.value.message == (
        "a mask key cannot be used while PGSERVICE is set in the environment of the worker"
    )
    assert caught.value.hint == "Name the server in the connection instead."


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


HERE = ("", "localhost", "/run/postgresql", "@abstract", "127.0.0.1", "127.9.9.9", "::1")


@pytest.mark.parametrize("host", [*HERE, "localhost,/tmp", ",127.0.0.1"])
def test_on_this_machine_nothing_is_asked(host: str) -> None:
    database = Database("shop", {"host": host, "sslmode": "disable"})
    assert encrypted(database) is database


def test_without_a_host_a_socket_of_this_machine_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PGHOST", "PGHOSTADDR", "PGSSLMODE"):
        monkeypatch.delenv(variable, raising=False)
    database = Database("shop", {"sslmode": "disable"})
    assert encrypted(database) is database


@pytest.mark.parametrize(
    "parameters",
    [
        {"host": "db"},
        {"host": "10.0.0.5"},
        {"host": "localhost,db"},
        {"host": "localhost", "hostaddr": "10.0.0.5"},
        {"host": "localhost,localhost", "hostaddr": ",10.0.0.5"},
        {"host": "/tmp,db", "hostaddr": "127.0.0.1"},
    ],
)
@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        (None, "require"),
        ("allow", "require"),
        ("prefer", "require"),
        ("require", "require"),
        ("verify-full", "verify-full"),
    ],
)
def test_over_a_network_a_session_is_encrypted(
    parameters: dict[str, str], mode: str | None, becomes: str
) -> None:
    given = {**parameters, **({"sslmode": mode} if mode else {})}
    assert encrypted(Database("shop", given)).parameters == {**given, "sslmode": becomes}


def test_an_address_counts_in_place_of_the_name_of_its_host() -> None:
    database = Database("shop", {"host": "db", "hostaddr": "127.0.0.1"})
    assert encrypted(database) is database


@pytest.mark.parametrize(
    ("variable", "value"), [("PGHOST", "db"), ("PGHOSTADDR", "10.0.0.5"), ("PGSSLMODE", "disable")]
)
def test_what_the_environment_says_counts_unless_the_connection_says_more(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    if variable == "PGSSLMODE":
        with pytest.raises(UnsupportedError):
            encrypted(Database("shop", {"host": "db"}))
        other = encrypted(Database("shop", {"host": "db", "sslmode": "allow"}))
        assert other.parameters["sslmode"] == "require"
    else:
        assert encrypted(Database("shop")).parameters == {"sslmode": "require"}
        own = {"host": "localhost", "hostaddr": "127.0.0.1"}
        assert encrypted(Database("shop", own)).parameters == own


def test_without_encryption_the_hosts_are_named() -> None:
    with pytest.raises(UnsupportedError) as caught:
        encrypted(Database("shop", {"host": "db1,db2", "sslmode": "disable"}))
    assert caught.value.message == (
        "the mask key would cross the network to db1, db2 without TLS: sslmode is disable"
    )
    assert caught.value.hint == (
        "Set sslmode to verify-full in the extra of the connection, or mask_without_tls."
    )
