import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_pgclone.core.errors import (
    InvalidInputError,
    NotAllowedError,
    UnknownOptionError,
)
from airflow_provider_pgclone.options import (
    GUARD_OF_VERB,
    GUARDS,
    OPTIONS,
    VERBS,
    OptionSource,
    Verb,
    check_allowed,
    config_of_key,
    value_of,
    values_of,
)
from tests.support import REPOSITORY
from tests.support.programs.write_options import with_params, written

# The order in which the hook asks them.
LABELS = ("the arguments", "the configuration 'nightly'", "the connection", "the section")


def sources(*values: dict[str, Any]) -> list[OptionSource]:
    return [OptionSource(label, given) for label, given in zip(LABELS, values, strict=False)]


@pytest.mark.parametrize("first", range(4))
def test_the_most_particular_source_that_gives_an_option_wins(first: int) -> None:
    values: list[dict[str, Any]] = [
        {"jobs": position + 1} if position >= first else {} for position in range(4)
    ]
    assert values_of("restore", sources(*values))["jobs"] == first + 1


def test_an_option_that_no_source_gives_has_its_default() -> None:
    resolved = values_of("dump", sources({}, {}, {}, {}))
    assert resolved["exclude"] == []
    assert resolved["storage_conn_id"] == "aws_default"
    assert resolved["database"] is None


def test_a_default_that_is_computed_is_a_value() -> None:
    assert 2 <= values_of("restore", [])["jobs"] <= 4


def test_a_default_list_is_not_shared_between_calls() -> None:
    values_of("dump", [])["exclude"].append("public.users")
    assert values_of("dump", [])["exclude"] == []


@pytest.mark.parametrize(
    ("name", "empty", "given"),
    [
        ("exclude", [], ["public.events"]),
        ("reversible", False, True),
        ("wait_seconds", 0, 60),
        ("keep_last", 0, 7),
        ("older_than_days", 0, 30),
        ("swap", False, True),
    ],
)
def test_an_empty_value_is_a_value(name: str, empty: Any, given: Any) -> None:
    assert value_of(name, sources({name: empty}, {name: given})) == empty


def test_none_alone_means_not_given() -> None:
    assert value_of("jobs", sources({"jobs": None}, {"jobs": 7})) == 7


def test_a_verb_gets_its_options_and_no_other() -> None:
    for verb in VERBS:
        names = {option.name for option in OPTIONS if verb in option.verbs}
        assert set(values_of(verb, sources({"jobs": 1, "strategy": "wal_log"}))) == names


def test_an_unknown_option_is_named_with_its_source() -> None:
    (source,) = sources({"exclude": [], "exclud": ["public.events"]})
    with pytest.raises(
        UnknownOptionError, match="the arguments has the unknown option 'exclud'"
    ) as raised:
        source.check()
    assert (raised.value.hint or "").startswith("Did you mean exclude? The options are ")


def test_all_options_and_guards_are_known() -> None:
    OptionSource("all", {option.name: None for option in OPTIONS} | dict.fromkeys(GUARDS)).check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jobs", 0),
        ("jobs", -1),
        ("jobs", True),
        ("jobs", "many"),
        ("jobs", "1.5"),
        ("jobs", 4.0),
        ("keep_last", -1),
        ("keep_last", True),
        ("keep_daily", "0.5"),
        ("keep_weekly", "all"),
        ("older_than_days", -0.1),
        ("older_than_days", 500_001),
        ("older_than_days", "nan"),
        ("older_than_days", False),
        ("limit", 2.5),
        ("limit", [1]),
        ("wait_seconds", -1),
        ("wait_seconds", "soon"),
        ("wait_seconds", True),
        ("wait_seconds", [5]),
        ("wait_seconds", float("inf")),
        ("wait_seconds", float("nan")),
        ("reversible", "maybe"),
        ("reversible", []),
        ("exclude", 5),
        ("exclude", [5]),
        ("exclude", {"public.users": True}),
        ("exclude", "[unclosed"),
        ("exclude", "['a', 5]"),
        ("exclude", "[open('/etc/passwd')]"),
        ("strategy", "fast"),
        ("what", "everything"),
        ("what", True),
        ("instance", ""),
        ("instance", 5),
        ("allow_dump", "perhaps"),
    ],
)
def test_a_bad_value_is_named_with_its_option_and_source(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        OptionSource("the connection", {name: value}).get(name)
    assert str(caught.value).startswith(f"the connection: {name} {value!r} ")


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("exclude", "public.users, audit.*", ["public.users", "audit.*"]),
        ("exclude", "['public.users', 'audit.*']", ["public.users", "audit.*"]),
        ("exclude", '["public.users", "audit.*"]', ["public.users", "audit.*"]),
        ("exclude", " [] ", []),
        ("exclude", ("public.users",), ["public.users"]),
        ("reversible", "True", True),
        ("reversible", "off", False),
        ("reversible", 0, False),
        ("jobs", "3", 3),
        ("keep_last", " 0 ", 0),
        ("older_than_days", "1.5", 1.5),
        ("wait_seconds", "1.5", 1.5),
        ("strategy", "FILE_COPY", "file_copy"),
        ("what", " Files", "files"),
    ],
)
def test_texts_of_templates_and_config_files_are_read(name: str, written: Any, read: Any) -> None:
    assert OptionSource("the section", {name: written}).get(name) == read


@pytest.mark.parametrize("verb", sorted(GUARD_OF_VERB))
@pytest.mark.parametrize("forbidding", range(4))
def test_what_any_source_forbids_no_other_allows(verb: Verb, forbidding: int) -> None:
    guard = GUARD_OF_VERB[verb]
    values: list[dict[str, Any]] = [{guard: position != forbidding} for position in range(4)]
    with pytest.raises(NotAllowedError, match=f"{verb} is not allowed: {LABELS[forbidding]}"):
        check_allowed(verb, sources(*values))


def test_a_guard_in_words_forbids() -> None:
    with pytest.raises(NotAllowedError):
        check_allowed("dump", sources({"allow_dump": "no"}))


def test_a_guard_forbids_only_its_own_verbs() -> None:
    check_allowed("dump", sources({"allow_restore": False, "allow_copy": False}))
    check_allowed("ls", sources(dict.fromkeys(GUARDS, False)))


def test_every_verb_that_changes_a_server_or_reads_data_has_a_guard() -> None:
    # A verification that restores asks for allow_restore itself.
    assert set(VERBS) - set(GUARD_OF_VERB) == {
        *("ls", "test_connection", "verify", "propose_masks", "current", "choices"),
    }


CONTENT: dict[str, Any] = {
    "exclude": ["public.events"],
    "schemas": ["public"],
    "exclude_schemas": ["audit"],
    "pg_dump_args": ["--no-comments"],
    "rows": {"public.users": "id < 9"},
    "masks": {"public.users": {"email": "email", "name": "null"}},
    "follow_fks": True,
}


def config_part(arguments: dict[str, Any], config: str | None = None, **configured: object) -> str:
    return config_of_key(config, sources(arguments, configured, {}, {}))


def test_every_option_that_changes_the_content_is_tried_here() -> None:
    assert set(CONTENT) == {option.name for option in OPTIONS if option.is_content}


@pytest.mark.parametrize("config", [None, "nightly"])
@pytest.mark.parametrize("name", sorted(CONTENT))
def test_dumps_whose_content_an_argument_changes_have_a_config_part_of_their_own(
    name: str, config: str | None
) -> None:
    kind = "masked" if name == "masks" else "partial"
    part = config_part({name: CONTENT[name]}, config)
    assert re.fullmatch(rf"{kind}-[0-9a-f]{{8}}", part)
    assert config_part({name: CONTENT[name], "jobs": 3, "instance": "prod"}, config) == part


def test_dumps_of_other_arguments_have_another_config_part() -> None:
    parts = [
        *(config_part({name: value}) for name, value in CONTENT.items()),
        *(config_part({name: value}, "nightly") for name, value in CONTENT.items()),
        *(config_part({"schemas": ["audit"]}), config_part({"schemas": ["public", "audit"]})),
        *(config_part({"rows": {"public.users": "id < 8"}}), config_part(CONTENT)),
    ]
    assert len(set(parts)) == len(parts)


def test_the_same_arguments_give_the_same_config_part_however_they_are_written(
    tmp_path: Path,
) -> None:
    schemas = ({"schemas": ["a", "b"]}, {"schemas": ("b", "a")}, {"schemas": "b, a"})
    assert len({config_part(arguments) for arguments in schemas}) == 1
    file = tmp_path / "masks.yaml"
    file.write_text("public.users:\n  name: 'null'\n  email: email\n")
    masks = CONTENT["masks"]
    assert config_part({"masks": str(file)}) == config_part({"masks": masks})
    assert config_part({"masks": repr(masks)}) == config_part({"masks": masks})
    # A hash that another version of the package or of Python must find again.
    assert config_part({"schemas": ["audit"]}) == "partial-386c9f2d"
    assert config_part({"masks": masks}) == "masked-1facc91d"


@pytest.mark.parametrize("config", [None, "nightly"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"exclude": None, "instance": "prod", "pg_bin_dir": "/opt/bin"},
        {"exclude": [], "masks": {}, "follow_fks": False},
    ],
)
def test_arguments_that_change_no_content_leave_the_config_in_the_key(
    arguments: dict[str, Any], config: str | None
) -> None:
    assert config_part(arguments, config) == (config or "none")


def test_an_argument_that_says_what_the_configuration_says_changes_nothing() -> None:
    assert config_part({"exclude": ["a"]}, "nightly", exclude="a") == "nightly"
    assert config_part({"exclude": []}, "nightly", exclude="a").startswith("whole-")
    assert config_part({"masks": {}}, "nightly", masks="/nonexistent").startswith("whole-")


# Where options are described.


@pytest.mark.parametrize("path", written(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_options_are_described_as_they_are_declared(path: Path) -> None:
    """``python -m tests.support.programs.write_options`` writes them anew."""
    assert path.read_text() == written()[path]


def test_an_argument_that_is_not_described_gets_its_line_and_others_keep_theirs() -> None:
    source = '''
class Operator:
    """Do it.

    :param swap: an old wording
        of two lines.
    :param key: what a person
        wrote.
    :return: nothing.
    """

    def __init__(self, *, key, reversible, swap, **kwargs):
        pass
'''
    described = with_params(source)
    lines = [line.strip() for line in described.splitlines() if line.strip().startswith(":")]
    assert [line.split(":")[1] for line in lines] == [
        *("param key", "param reversible", "param swap", "return"),
    ]
    assert "an old wording" not in described
    assert "of two lines" not in described
    assert ":param key: what a person\n        wrote.\n" in described
    assert described == with_params(described)


def test_every_help_is_a_sentence() -> None:
    for option in OPTIONS:
        assert option.help[0].isupper(), option.name
        assert option.help.endswith("."), option.name


# Deprecated options.


def test_a_deprecated_option_tells_what_replaces_it() -> None:
    (source,) = sources({"instances": True, "all_files": False, "local": None, "limit": 1})
    assert source.deprecations("ls") == [
        "the arguments: the option instances is deprecated; use what='instances'",
        "the arguments: the option all_files is deprecated; use what='files'",
    ]
    assert source.deprecations("dump") == []


def test_what_replaces_a_deprecated_option_is_a_value_that_is_read() -> None:
    replaced = [option.instead for option in OPTIONS if option.instead is not None]
    assert len(replaced) == 5
    for name, value in replaced:
        assert OptionSource("the arguments", {name: value}).get(name) == value
