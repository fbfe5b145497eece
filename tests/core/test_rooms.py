"""The packages of core: who may import whom, by doors alone, and how large they are."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "airflow_provider_pgclone"
CORE = "airflow_provider_pgclone.core"
GROUND = frozenset({"errors", "cancellation", "progress", "meter", "time_spent", "visible"})
# What each package may import, beside the ground.
ALLOWED: dict[str, frozenset[str]] = {
    "archive": frozenset(),
    "storage": frozenset(),
    "postgres": frozenset(),
    "repository": frozenset({"archive", "storage"}),
    "catalog": frozenset({"postgres"}),
    "checking": frozenset({"archive", "postgres"}),
    "replacing": frozenset({"postgres"}),
    "comparing": frozenset({"catalog", "postgres"}),
    "masking.rules": frozenset({"catalog", "postgres"}),
    "masking.discovery": frozenset({"masking.rules", "catalog", "postgres"}),
    "masking.unmasked": frozenset({"catalog", "postgres"}),
    "masking.planning": frozenset(
        {
            *("masking.rules", "masking.discovery", "masking.unmasked"),
            *("catalog", "archive", "postgres"),
        }
    ),
    "reading": frozenset({"masking.planning", "catalog", "checking", "archive", "postgres"}),
    "scheduling": frozenset({"archive"}),
    "watching": frozenset({"scheduling", "archive", "postgres"}),
    "executing": frozenset({"watching", "scheduling", "catalog", "archive", "postgres"}),
    "loading": frozenset(
        {
            *("executing", "scheduling", "reading", "repository", "checking", "watching"),
            *("archive", "postgres"),
        }
    ),
}
MOST_LINES = 400
MOST_MODULES = 12


@dataclass(frozen=True)
class Import:
    """An import of one module of the package by another."""

    importer: str
    imported: str
    names: tuple[str, ...]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(module: str, source: str) -> Iterator[Import]:
    """Yield the imports of this package, also those within functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            if node.module and node.module.startswith(CORE.partition(".")[0]):
                yield Import(module, node.module, tuple(alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(CORE):
                    yield Import(module, alias.name, ())


def package_of(module: str) -> str:
    """Return the package of core that a module is in; ``verbs`` and ``ground`` for the files."""
    if not module.startswith(f"{CORE}."):
        return "outside"
    first, *rest = module.removeprefix(f"{CORE}.").split(".")
    if first == "masking" and rest:
        return f"masking.{rest[0]}"
    if first in ALLOWED or first == "masking":
        return first
    return "ground" if first in GROUND else "verbs"


def problems_of(one: Import) -> Iterator[str]:
    """Yield what is wrong with an import."""
    here, there = package_of(one.importer), package_of(one.imported)
    if there in ("outside", here):
        return
    is_door = one.imported == f"{CORE}.{there}"
    if there in ALLOWED and not is_door:
        yield f"{one.importer} imports {one.imported} past the door of {there}"
    if there == "masking":
        yield f"{one.importer} imports masking itself, which has packages"
    if here == "ground" and there != "ground":
        yield f"{one.importer} is ground, and imports {there}"
    if here in ALLOWED and there != "ground" and there not in ALLOWED[here]:
        yield f"{one.importer} imports {there}, which {here} may not"


def all_imports() -> list[Import]:
    return [
        one
        for path in sorted(ROOT.rglob("*.py"))
        for one in imports_in(module_name(path), path.read_text())
    ]


def test_every_folder_of_core_is_a_package_of_the_plan() -> None:
    folders = {
        module_name(path).removeprefix(f"{CORE}.")
        for path in (ROOT / "core").rglob("__init__.py")
        if path.parent != ROOT / "core"
    }
    assert folders == {*ALLOWED, "masking"}


def test_packages_import_only_what_they_may_and_by_doors() -> None:
    found = all_imports()
    assert len(found) > 300
    assert [problem for one in found for problem in problems_of(one)] == []


def test_the_allowed_directions_have_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(ALLOWED):
        ready = [name for name in ALLOWED if name not in order and ALLOWED[name] <= set(order)]
        assert ready, f"a circle among {set(ALLOWED) - set(order)}"
        order += ready


def test_no_module_imports_itself_in_a_circle() -> None:
    """Modules within a package have no circle either."""
    edges: dict[str, set[str]] = {}
    modules = {module_name(path) for path in ROOT.rglob("*.py")}
    for one in all_imports():
        targets = {f"{one.imported}.{name}" for name in one.names} & modules or {one.imported}
        edges.setdefault(one.importer, set()).update(targets - {one.importer})
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize(
    ("importer", "imported", "problem"),
    [
        ("catalog.rows", "masking.planning", "catalog may not"),
        ("archive.toc", "postgres", "archive may not"),
        ("reading.psql", "dump", "reading may not"),
        ("dump", "reading.psql", "past the door of reading"),
        ("loading.fetch", "archive.manifest", "past the door of archive"),
        ("errors", "postgres", "is ground"),
        ("dump", "masking", "which has packages"),
    ],
)
def test_a_wrong_import_is_found(importer: str, imported: str, problem: str) -> None:
    source = f"def later() -> None:\n    from {CORE}.{imported} import something\n"
    (found,) = imports_in(f"{CORE}.{importer}", source)
    (said,) = problems_of(found)
    assert problem in said


def test_a_door_says_what_lives_there_and_exports_what_others_use() -> None:
    used: dict[str, set[str]] = {}
    for one in all_imports():
        there = package_of(one.imported)
        if there in ALLOWED and package_of(one.importer) != there:
            used.setdefault(there, set()).update(one.names)
    for package in ALLOWED:
        tree = ast.parse((ROOT / "core" / package.replace(".", "/") / "__init__.py").read_text())
        assert len((ast.get_docstring(tree) or "").split()) >= 12, f"{package} has no description"
        exported = {
            name
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for name in ast.literal_eval(node.value)
        }
        assert exported == used[package], package


def test_no_module_is_too_long_and_no_package_too_full() -> None:
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= MOST_LINES, path
    for folder in {path.parent for path in ROOT.rglob("*.py")}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        limit = MOST_MODULES + len(GROUND) if folder == ROOT / "core" else MOST_MODULES
        assert len(modules) <= limit, folder
