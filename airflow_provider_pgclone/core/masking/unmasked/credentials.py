"""Finds the options and settings in a dump, and those that look like credentials.

The server looks at their values, and returns none of them.
"""

from dataclasses import dataclass

from airflow_provider_pgclone.core.catalog import Selection
from airflow_provider_pgclone.core.postgres import Session

# In SQL: the names of credentials, texts that contain one, and values that are none.
_NAME_OF_ONE = (
    r"'pass|pwd|(^|[^a-z])pw($|[^a-z])|secret|token|credential|private|auth|bearer|jwt|dsn|salt|"
    r"signature|cookie|webhook|(^|[^a-z])(sas|pin|keys?)[0-9]*($|[^a-z])|apikey|accesskey|sslkey|"
    r"conn(ection)?_?str'"
)
_TEXT_WITH_ONE = (
    r"'://[^/@[:space:]]*:[^/@[:space:]]+@|(pass(word|wd)?|pwd|secret|token|key|sig)[[:space:]]*=|"
    r"(bearer|basic) |-----BEGIN|^eyJ[[:alnum:]_-]+[.]|[srp]k_(live|test)_|gh[pousr]_|xox[abp]-|"
    r"AKIA[A-Z0-9]{12}|hooks[.]slack'"
)
_HARMLESS = r"'^([0-9]{0,3}|on|off|true|false|yes|no)$'"
# A setting with a dot is the application's own: any long word in it may be a secret.
_LONG_WORD = r"'^[[:graph:]]{16,}$'"

_OPTIONS = f"""
SELECT DISTINCT what, place, schema::text, subject::text, name,
    (name ~* {_NAME_OF_ONE} OR value ~* {_TEXT_WITH_ONE}
        OR place = 'pg_db_role_setting' AND name ~ '[.]' AND value ~ {_LONG_WORD})
    AND value !~* {_HARMLESS}
FROM (
    SELECT 'option of a foreign-data wrapper', 'pg_foreign_data_wrapper', NULL::name,
        fdwname::text, unnest(fdwoptions)
    FROM pg_foreign_data_wrapper
    UNION ALL
    SELECT 'option of a foreign server', 'pg_foreign_server', NULL, srvname, unnest(
        srvoptions || ('type=' || srvtype) || ('version=' || srvversion)
    )
    FROM pg_foreign_server
    UNION ALL
    SELECT 'option of a user mapping', 'pg_user_mapping', NULL, srvname, unnest(umoptions)
    FROM pg_user_mappings
    UNION ALL
    SELECT 'option of a foreign table', 'pg_foreign_table', nspname, relname, unnest(ftoptions)
    FROM pg_foreign_table
    JOIN pg_class c ON c.oid = ftrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'option of a foreign table', 'pg_foreign_table', nspname, relname,
        unnest(attfdwoptions)
    FROM pg_attribute
    JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    UNION ALL
    SELECT 'setting of a function', 'pg_proc', nspname, proname, unnest(proconfig)
    FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    UNION ALL
    SELECT 'setting of the database', 'pg_db_role_setting', NULL,
        coalesce('of ' || rolname, ''), unnest(setconfig)
    FROM pg_db_role_setting
    JOIN pg_database d ON d.oid = setdatabase
    LEFT JOIN pg_roles r ON r.oid = setrole
    WHERE datname = current_database()
) AS found (what, place, schema, subject, option)
CROSS JOIN LATERAL (
    SELECT split_part(option, '=', 1), substr(option, strpos(option, '=') + 1)
) AS parts (name, value)
WHERE option IS NOT NULL
ORDER BY 1, 3, 4, 5
"""


@dataclass(frozen=True)
class StoredOption:
    """An option or a setting that a dump holds.

    :param what: its kind.
    :param subject: its name and that of the object that has it.
    :param place: the catalog that holds it, and
    :param key: what stands for it there, if it is to be declared safe.
    :param is_credential: whether it looks like one.
    """

    what: str
    subject: str
    place: str
    key: str
    is_credential: bool


def find_options(session: Session, selection: Selection) -> list[StoredOption]:
    """Return the options and settings of a dump, in the current transaction."""
    found = []
    for what, place, schema, subject, name, is_credential in session.execute(_OPTIONS):
        # With schemas, pg_dump leaves out all that is in none, but not the settings.
        if schema is None and selection.schemas and place != "pg_db_role_setting":
            continue
        if schema is not None and not selection.includes_schema(schema):
            continue
        owner = subject if schema is None else f"{schema}.{subject}"
        if place == "pg_db_role_setting":
            found.append(StoredOption(what, f"{name} {owner}".strip(), place, name, is_credential))
        else:
            key = f"{owner}.{name}"
            found.append(StoredOption(what, f"{owner}: {name}", place, key, is_credential))
    return found
