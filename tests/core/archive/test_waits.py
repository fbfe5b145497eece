"""What depends on what, in tables of contents that are written out here."""

import pytest

from airflow_provider_pgclone.core.archive import Toc, TocEntry, complete_dependencies
from tests.support.fixtures.entries import toc_entry, toc_of


def waits(*entries: TocEntry) -> dict[int, tuple[int, ...]]:
    """Return the dependencies of each entry, once they are complete."""
    toc: Toc = complete_dependencies(toc_of(*entries))
    assert [entry.dump_id for entry in toc.entries] == [entry.dump_id for entry in entries]
    return {entry.dump_id: entry.dependencies for entry in toc.entries}


# A partition tree: 1 above 2 and 3, and 3 above 4. Table 5 is apart from it, and inherits from 6.
ROOT, LEAF = toc_entry(1, "TABLE", "root"), toc_entry(2, "TABLE", "leaf")
LOWER, BELOW = toc_entry(3, "TABLE", "lower"), toc_entry(4, "FOREIGN TABLE", "below")
PARENT, HEIR = toc_entry(6, "TABLE", "parent"), toc_entry(5, "TABLE", "heir", 6)
TREE = (
    *(ROOT, LEAF, LOWER, BELOW, PARENT, HEIR),
    toc_entry(12, "TABLE ATTACH", "leaf", 1, 2),
    toc_entry(13, "TABLE ATTACH", "lower", 3, 1),
    toc_entry(14, "TABLE ATTACH", "below", 3, 4),
)
DATA = (
    *(toc_entry(22, "TABLE DATA", "leaf", 2), toc_entry(24, "TABLE DATA", "below", 4)),
    # Two ranges of pages, whose first dependency is no entry.
    *(toc_entry(25, "TABLE DATA", "heir", 99, 5), toc_entry(27, "TABLE DATA", "heir", 99, 5)),
    toc_entry(26, "TABLE DATA", "parent", 6),
)


@pytest.mark.parametrize(
    ("entry", "dependencies"),
    [
        (toc_entry(30, "INDEX", "i", 1), (1, 22, 24)),
        (toc_entry(30, "INDEX", "i", 3), (3, 24)),
        (toc_entry(30, "INDEX", "i", 4), (4,)),
        (toc_entry(30, "TRIGGER", "root t", 1, 22), (1, 22, 24)),
        (toc_entry(30, "FK CONSTRAINT", "root f", 2, 1), (2, 1, 22, 24)),
        # It waits for an index that waits.
        (toc_entry(30, "INDEX ATTACH", "i", 1), (1,)),
        # What comes before the data waits for none of it.
        (toc_entry(30, "RULE", "root r", 1, section=2), (1,)),
        # The rows of an heir do not count, unless its constraints are those of the parent.
        (toc_entry(30, "TRIGGER", "parent t", 6), (6,)),
        (
            toc_entry(30, "CHECK CONSTRAINT", "c", 6, definition="ALTER TABLE public.parent\n"),
            (6, 25, 27),
        ),
        (
            toc_entry(30, "CHECK CONSTRAINT", "c", 6, definition="\nALTER FOREIGN TABLE parent\n"),
            (6, 25, 27),
        ),
        (
            toc_entry(30, "CHECK CONSTRAINT", "c", 6, definition="ALTER TABLE ONLY parent\n"),
            (6,),
        ),
        (toc_entry(30, "TRIGGER", "c", 6, definition="ALTER TABLE public.parent\n"), (6,)),
        # Of a domain: any table may have it.
        (
            toc_entry(30, "CHECK CONSTRAINT", "d", 50, definition="\nALTER DOMAIN public.d\n"),
            (50, 22, 24, 25, 27, 26),
        ),
        (
            toc_entry(30, "DOMAIN", "d", 50, definition="ALTER DOMAIN d", section=2),
            (50,),
        ),
        (toc_entry(30, "CHECK CONSTRAINT", "d", 50, definition="ALTER TYPE d"), (50,)),
    ],
)
def test_an_entry_waits_for_the_data_that_it_would_change(
    entry: TocEntry, dependencies: tuple[int, ...]
) -> None:
    found = waits(*TREE, *DATA, entry)
    assert found.pop(30) == dependencies
    assert found == {one.dump_id: one.dependencies for one in (*TREE, *DATA)}


BY_ROOT = "-- load via partition root public.root\n"
APART = (
    toc_entry(7, "TABLE", "other"),
    toc_entry(8, "TABLE", "other_leaf"),
    toc_entry(18, "TABLE ATTACH", "other_leaf", 7, 8),
    toc_entry(28, "TABLE DATA", "other_leaf", 8),
)


@pytest.mark.parametrize(
    ("entry", "dependencies"),
    [
        (toc_entry(30, "TRIGGER", "leaf t", 2), (2, 22, 24)),
        (toc_entry(30, "TRIGGER", "below t", 4), (4, 22, 24)),
        (toc_entry(30, "TRIGGER", "other_leaf t", 8), (8,)),
        *((toc_entry(30, kind, "x", 2), (2,)) for kind in ("INDEX", "CONSTRAINT", "INDEX ATTACH")),
        (toc_entry(30, "TRIGGER", "leaf t", 2, section=2), (2,)),
    ],
)
def test_rows_that_come_by_the_root_may_be_in_the_data_of_any_partition(
    entry: TocEntry, dependencies: tuple[int, ...]
) -> None:
    data = (
        toc_entry(22, "TABLE DATA", "leaf", 2, definition=BY_ROOT),
        toc_entry(24, "TABLE DATA", "below", 4, definition=BY_ROOT),
    )
    assert waits(*TREE, *APART, *data, entry)[30] == dependencies
    # Without the root each partition has its own rows.
    assert waits(*TREE, *APART, *DATA, toc_entry(30, "TRIGGER", "leaf t", 2))[30] == (2,)


def test_the_state_of_a_trigger_waits_for_the_one_that_it_is_made_of() -> None:
    found = waits(
        *TREE,
        toc_entry(40, "TRIGGER", "root watch", 1),
        toc_entry(41, "TRIGGER", "leaf watch", 2),
        toc_entry(42, "TRIGGER", "below watch", 4),
        toc_entry(43, "TRIGGER", "below other", 4),
        toc_entry(44, "TRIGGER", "lower watch", 3, namespace="audit"),
        # The trigger of another table depends on this one, too.
        toc_entry(45, "TRIGGER", "view watch", 3),
        toc_entry(46, "TRIGGER", "view watch", 1),
    )
    expected = [(1,), (2, 40), (4, 40), (4,), (3,), (3,), (1,)]
    assert [found[id_] for id_ in range(40, 47)] == expected


def test_a_partition_whose_parent_is_not_in_the_archive_has_none() -> None:
    found = waits(
        toc_entry(2, "TABLE", "leaf"),
        toc_entry(12, "TABLE ATTACH", "leaf", 1, 2),
        toc_entry(13, "TABLE ATTACH", "gone", 1),
        toc_entry(22, "TABLE DATA", "leaf", 2),
        toc_entry(30, "INDEX", "i", 2),
    )
    assert found == {2: (), 12: (1, 2), 13: (1,), 22: (2,), 30: (2,)}


def test_tables_that_depend_on_each_other_are_no_endless_way_up() -> None:
    definition = "ALTER TABLE a\n"
    found = waits(
        toc_entry(1, "TABLE", "a", 2),
        toc_entry(2, "TABLE", "b", 1),
        toc_entry(21, "TABLE DATA", "a", 1),
        toc_entry(30, "CHECK CONSTRAINT", "c", 2, definition=definition),
    )
    assert found[30] == (2, 21)


def test_the_tables_of_extensions_are_loaded_one_after_another() -> None:
    refers = "ALTER TABLE x ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES {}(id);"
    found = waits(
        toc_entry(1, "TABLE", "own"),
        toc_entry(20, "TABLE DATA", "topology", 90),
        toc_entry(21, "TABLE DATA", "own", 1),
        toc_entry(22, "TABLE DATA", 'a "layer', 90),
        toc_entry(23, "TABLE DATA", "third", 90),
        toc_entry(30, "FK CONSTRAINT", "f", 1, definition=refers.format('public."a ""layer"')),
        toc_entry(31, "FK CONSTRAINT", "g", 1, definition=refers.format("public.topology")),
        toc_entry(32, "FK CONSTRAINT", "h", 1, definition=refers.format("public.own")),
        toc_entry(33, "FK CONSTRAINT", "i", 1, definition=refers.format("other.topology")),
        toc_entry(34, "CONSTRAINT", "j", 1, definition=refers.format("public.topology")),
    )
    assert (found[20], found[21], found[22], found[23]) == ((90,), (1,), (90, 20), (90, 22))
    assert [found[id_] for id_ in range(30, 35)] == [(1, 22), (1, 20), (1,), (1,), (1,)]


def test_an_entry_never_waits_for_itself_or_twice() -> None:
    found = waits(
        *TREE[:2],
        TREE[6],
        toc_entry(22, "TABLE DATA", "leaf", 2),
        toc_entry(30, "INDEX", "i", 1, 22),
        # Two reasons for one wait.
        toc_entry(31, "CHECK CONSTRAINT", "c", 1, definition="ALTER DOMAIN d"),
    )
    assert (found[30], found[31]) == ((1, 22), (1, 22))
