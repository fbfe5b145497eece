"""What Airflow wants to know of a provider."""

from typing import Any

from airflow_provider_pgclone.options import GUARDS, OPTIONS, SECRETS

_INTEGRATION = "PostgreSQL clone"
_PACKAGE = "airflow_provider_pgclone"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's parts, and its config section from the declarations of the options."""
    return {
        "package-name": "airflow-provider-pgclone",
        "name": _INTEGRATION,
        "description": "Dump, list, restore, swap, copy, verify and prune PostgreSQL databases.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.postgresql.org/docs/current/app-pgdump.html",
                "tags": ["software"],
            }
        ],
        "operators": [
            {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.operators"]}
        ],
        "hooks": [
            {"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hooks.pgclone"]}
        ],
        "extra-links": [f"{_PACKAGE}.plugins.links.DumpLink"],
        "cli": [f"{_PACKAGE}.cli.get_cli_commands"],
        "config": {
            "pgclone": {
                "description": "Options of all dumps, restores and copies; a connection, a "
                "configuration or an argument can override them.",
                "options": _config_options(),
            }
        },
    }


def _config_options() -> dict[str, Any]:
    configs = (
        'Named configurations: a JSON object such as {"nightly": {"exclude": ["public.events"]}}.'
    )
    connections = (
        "Options and guards of connections, by their ids: a JSON object such as "
        '{"prod": {"allow_restore": false}}.'
    )
    dumps_page = (
        "What the page Dumps shows: a JSON object with stores and targets, such as "
        '{"stores": {"Shop": {"postgres_conn_id": "prod", "dag": "nightly_masked_dump"}}}.'
    )
    # The defaults are left empty, so that every value in the section was set by somebody.
    helps: dict[str, str] = {
        **{option.name: f"{option.help} Default: {option.shown_default}." for option in OPTIONS},
        **{str(name): f"{text} Default: True." for name, text in GUARDS.items()},
        "configs": configs,
        "connections": connections,
        "dumps_page": dumps_page,
    }
    return {
        name: {
            "description": text,
            "version_added": "0.1.0",
            "type": "string",
            "example": None,
            "default": "",
            # Airflow hides these, and reads them from a command or a secrets backend as well. The
            # last two may have a secret in them.
            **({"sensitive": True} if name in (*SECRETS, "configs", "connections") else {}),
        }
        for name, text in helps.items()
    }
