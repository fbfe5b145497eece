"""The section of Airflow's config, as Airflow itself reads and shows it."""

import json
from pathlib import Path

import pytest
from airflow.configuration import conf as shown_conf

from airflow_provider_pgclone.options import SECRETS
from airflow_provider_pgclone.settings import configuration_source, section_source

KEY = "0012345678901234567890"


@pytest.fixture
def command(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(KEY)
    return f"cat {path}"


@pytest.mark.parametrize("name", SECRETS)
def test_the_page_of_the_configuration_hides_secrets(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{name.upper()}", KEY)
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS", json.dumps({"nightly": {name: KEY}}))
    monkeypatch.setenv("AIRFLOW__PGCLONE__INSTANCE", "prod")
    shown = shown_conf.as_dict(display_source=True, display_sensitive=False)
    assert KEY not in json.dumps(shown, default=str)
    assert shown["pgclone"]["instance"] == ("prod", "env var")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_the_output_of_a_command(
    name: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"AIRFLOW__PGCLONE__{name.upper()}_CMD", command)
    assert section_source().values == {name: KEY}


def test_a_secret_of_digits_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PGCLONE__MASK_KEY", KEY)
    assert section_source().values == {"mask_key": KEY}


def test_a_secret_may_be_in_a_secrets_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = "tests.airflow.test_section.Backend"
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__WORKERS__SECRETS_BACKEND", backend)
    monkeypatch.setenv("AIRFLOW__PGCLONE__MASK_KEY_SECRET", "of/masks")
    assert section_source().values == {"mask_key": f"{KEY} of/masks"}


class Backend:
    """What Airflow asks for the secrets of its configuration."""

    def get_config(self, key: str) -> str:
        return f"{KEY} {key}"


def test_configurations_may_be_the_output_of_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "configs"
    path.write_text(json.dumps({"nightly": {"instance": "prod"}}))
    monkeypatch.setenv("AIRFLOW__PGCLONE__CONFIGS_CMD", f"cat {path}")
    assert configuration_source("nightly").values == {"instance": "prod"}
    assert section_source().values == {}
