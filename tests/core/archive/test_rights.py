"""Which statements of an archive's rights are kept, and what they tell of its database."""

from dataclasses import replace

import pytest

from airflow_provider_pgclone.core.archive import (
    Toc,
    TocEntry,
    kept_rights,
    only_as_owner,
    rights_on_database,
    with_rights_of_each_large_object,
)

ROLES = {"owner", "here", "odd; role\n TO gone;"}


def kept(definition: str, *, may_become: bool = True) -> tuple[str, frozenset[str]]:
    return kept_rights(definition, "owner", roles=ROLES, own_roles={"owner"}, may_become=may_become)


@pytest.mark.parametrize(
    ("definition", "expected", "missing"),
    [
        (
            'REVOKE ALL ON FUNCTION public.f("FROM" integer) FROM PUBLIC;\n'
            'GRANT ALL ON FUNCTION public.f("FROM" integer) TO gone;\n',
            'REVOKE ALL ON FUNCTION public.f("FROM" integer) FROM PUBLIC;\n',
            {"gone"},
        ),
        ('GRANT SELECT ON TABLE public."TO here;" TO "Gone";\n', "", {"Gone"}),
        ("GRANT SELECT(a) ON TABLE public.t TO gone WITH GRANT OPTION;\n", "", {"gone"}),
        ("REVOKE ALL ON TABLE public.t FROM gone;\n", "", set()),
        (
            'GRANT SELECT ON TABLE public.t TO "odd; role\n TO gone;";\n',
            'GRANT SELECT ON TABLE public.t TO "odd; role\n TO gone;";\n',
            set(),
        ),
        (
            'ALTER DEFAULT PRIVILEGES FOR ROLE "Gone" IN SCHEMA s GRANT SELECT ON TABLES TO here;\n'
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO gone;\n"
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n",
            "ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n",
            {"Gone", "gone"},
        ),
        (
            "SET SESSION AUTHORIZATION here;\nGRANT SELECT ON TABLE t TO owner;\n"
            "RESET SESSION AUTHORIZATION;\nGRANT SELECT ON TABLE u TO owner;\n",
            "SET SESSION AUTHORIZATION here;\nGRANT SELECT ON TABLE t TO owner;\n"
            "RESET SESSION AUTHORIZATION;\nGRANT SELECT ON TABLE u TO owner;\n",
            set(),
        ),
        (
            "SET SESSION AUTHORIZATION here;\nGRANT SELECT ON TABLE t TO owner;\n"
            "GRANT SELECT ON TABLE t TO gone;\nRESET SESSION AUTHORIZATION;\n",
            "SET SESSION AUTHORIZATION here;\nGRANT SELECT ON TABLE t TO owner;\n"
            "RESET SESSION AUTHORIZATION;\n",
            {"gone"},
        ),
        (
            'SET SESSION AUTHORIZATION "Gone";\nGRANT SELECT ON TABLE t TO here;\n'
            "RESET SESSION AUTHORIZATION;\n",
            "GRANT SELECT ON TABLE t TO here;\n",
            set(),
        ),
    ],
)
def test_statements_that_name_a_missing_role_are_left_out(
    definition: str, expected: str, missing: set[str]
) -> None:
    assert kept(definition) == (expected, frozenset(missing))


def test_without_a_superuser_the_owner_grants_in_place_of_another_role() -> None:
    definition = (
        "SET SESSION AUTHORIZATION here;\nGRANT SELECT ON TABLE t TO owner;\n"
        "RESET SESSION AUTHORIZATION;\n"
    )
    assert kept(definition, may_become=False)[0] == "GRANT SELECT ON TABLE t TO owner;\n"


def test_the_rights_of_an_absent_owner_are_not_missed() -> None:
    assert kept_rights(
        "GRANT ALL ON TABLE t TO away;\n", "away", roles=(), own_roles=(), may_become=True
    ) == ("", frozenset())


def entry(description: str, tag: str, definition: str = "") -> TocEntry:
    return TocEntry(
        dump_id=1,
        has_dumper=0,
        catalog_oid=None,
        object_oid=None,
        tag=tag,
        description=description,
        section=1,
        definition=definition,
        drop_statement=None,
        copy_statement="",
        namespace="",
        tablespace=None,
        table_access_method=None,
        relation_kind=0,
        owner="owner",
        with_oids=None,
        dependencies=(),
        data_state=3,
    )


DATABASE = entry("DATABASE", "d")
OTHER = entry("ACL", "TABLE t", "GRANT SELECT ON TABLE t TO here;\n")
TOC = Toc((1, 16), "none", (0,) * 7, "d", "17", "17", ())


@pytest.mark.parametrize(
    ("entries", "rights"),
    [
        ((), None),
        ((DATABASE,), None),
        ((OTHER,), None),
        (
            (DATABASE, entry("DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES")),
            {(None, "CONNECT", False), (None, "TEMPORARY", False)},
        ),
        ((DATABASE, OTHER), {(None, "CONNECT", False), (None, "TEMPORARY", False)}),
        (
            (
                DATABASE,
                entry(
                    "ACL",
                    "DATABASE d",
                    'REVOKE CONNECT,TEMPORARY ON DATABASE "d" FROM PUBLIC;\n'
                    'GRANT TEMPORARY ON DATABASE "d" TO PUBLIC;\n'
                    'GRANT CONNECT,CREATE ON DATABASE "d" TO "He""re" WITH GRANT OPTION;\n',
                ),
            ),
            {(None, "TEMPORARY", False), ('He"re', "CONNECT", True), ('He"re', "CREATE", True)},
        ),
        (
            (
                DATABASE,
                entry("ACL", "DATABASE d", "SET SESSION AUTHORIZATION a;\n"),
                entry("ACL", "DATABASE d", "REVOKE TEMPORARY ON DATABASE d FROM PUBLIC;\n"),
                entry("ACL", "DATABASE d", "GRANT CREATE ON DATABASE d TO a;\n"),
            ),
            {(None, "CONNECT", False), ("a", "CREATE", False)},
        ),
    ],
)
def test_the_rights_on_a_database_are_told_or_unknown(
    entries: tuple[TocEntry, ...], rights: set[object] | None
) -> None:
    found = rights_on_database(replace(TOC, entries=entries))
    assert (None if found is None else set(found)) == rights


@pytest.mark.parametrize(
    ("statement", "altered"),
    [
        ('GRANT ALL ON FUNCTION s.f("TO" int[], b text) TO a;', 'FUNCTION s.f("TO" int[], b text)'),
        ('GRANT SELECT("on") ON TABLE s."t;" TO "FROM";', 'TABLE s."t;"'),
        ("REVOKE ALL ON FOREIGN SERVER far FROM PUBLIC;", "SERVER far"),
        ("GRANT USAGE ON FOREIGN DATA WRAPPER w TO a;", "FOREIGN DATA WRAPPER w"),
        ('GRANT USAGE ON SCHEMA "$rights0$" TO a;', 'SCHEMA "$rights0$"'),
    ],
)
def test_the_object_of_guarded_rights_is_that_of_their_statement(
    statement: str, altered: str
) -> None:
    guarded = only_as_owner(f"{statement}\n", "not done")
    assert f"ALTER {altered} OWNER TO CURRENT_USER;" in guarded
    assert statement in guarded
    tag = "$rights1$" if "$rights0$" in statement else "$rights0$"
    assert guarded.startswith(f"DO {tag}\nBEGIN\n")
    assert guarded.endswith(f"\nEND\n{tag};\n")
    assert guarded.count(tag) == 2


def test_statements_without_an_end_are_soon_left_out() -> None:
    """Of an archive that somebody made: each further quote took twice the time."""
    kept, missing = kept_rights('"' * 1000, "owner", roles=(), own_roles=(), may_become=False)
    assert (kept, missing) == ("", frozenset())


def test_rights_that_others_have_granted_come_beside_those_of_the_owner() -> None:
    definition = (
        "GRANT SELECT ON TABLE public.t TO here WITH GRANT OPTION;\n"
        "SET SESSION AUTHORIZATION here;\n"
        "GRANT SELECT ON TABLE public.t TO here;\n"
        "RESET SESSION AUTHORIZATION;\n"
    )
    assert kept(definition) == (definition, frozenset())


def test_all_rights_on_a_database_may_be_revoked() -> None:
    revoked = entry("ACL", "DATABASE d", "REVOKE ALL ON DATABASE d FROM PUBLIC;\n")
    assert rights_on_database(replace(TOC, entries=(DATABASE, revoked))) == ()


@pytest.fixture
def rights_of_some() -> Toc:
    """As pg_dump 17 writes it, but for the one right that another role has granted."""
    listed = replace(entry("BLOB METADATA", "71..80", "71\n80\n"), dump_id=4)
    statements = (
        'GRANT SELECT ON LARGE OBJECT 71 TO " ON LARGE OBJECT 5;";\n'
        "SET SESSION AUTHORIZATION here;\n"
        "REVOKE ALL ON LARGE OBJECT 71 FROM PUBLIC;\n"
        "RESET SESSION AUTHORIZATION;\n"
    )
    rights = entry("ACL", "LARGE OBJECTS 71..80", statements)
    rights = replace(rights, dump_id=5, dependencies=(4, 7))
    return replace(TOC, entries=(OTHER, listed, rights))


def test_rights_on_some_large_objects_become_statements_for_each(rights_of_some: Toc) -> None:
    changed = with_rights_of_each_large_object(rights_of_some)
    *others, rights = changed.entries
    assert others == list(rights_of_some.entries[:-1])
    assert rights.tag == "LARGE OBJECT 71..80"
    assert rights.definition == (
        'GRANT SELECT ON LARGE OBJECT 71 TO " ON LARGE OBJECT 5;";\n'
        'GRANT SELECT ON LARGE OBJECT 80 TO " ON LARGE OBJECT 5;";\n'
        "SET SESSION AUTHORIZATION here;\n"
        "REVOKE ALL ON LARGE OBJECT 71 FROM PUBLIC;\n"
        "REVOKE ALL ON LARGE OBJECT 80 FROM PUBLIC;\n"
        "RESET SESSION AUTHORIZATION;\n"
    )


@pytest.mark.parametrize("dependencies", [(), (9,)])
def test_rights_on_large_objects_that_no_entry_lists_stay_as_they_are(
    rights_of_some: Toc, dependencies: tuple[int, ...]
) -> None:
    *others, rights = rights_of_some.entries
    toc = replace(rights_of_some, entries=(*others, replace(rights, dependencies=dependencies)))
    assert with_rights_of_each_large_object(toc) == toc
