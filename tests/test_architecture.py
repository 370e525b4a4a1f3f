"""The shape of the house, read from the syntax trees: nothing is imported here."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "anogan"

# Imports point from a later row to an earlier one, or stay within a row without going in circles.
LAYERS = [
    {"_version", "errors"},
    {"storage"},
    {"config"},
    {"scan", "metrics"},
    {"faces", "io"},
    {"data", "gan", "results"},
    {"detector"},
    {"linkage", "evaluation", "review"},
    {"assurance"},
    {"privacy", "service"},
    {"pacs", "api"},
    {"cli"},
    {"dashboard"},
    {"app", "__main__"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """`anogan/io/dicom.py` is "io.dicom", `anogan/io/__init__.py` is "io", `anogan/__init__.py` is ""."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in SOURCES}


def imports(source: str, module: str = "") -> set[str]:
    """Return the dotted names that a source imports; relative imports are resolved from `module`'s package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(["anogan", *module.split(".")][: -node.level or None]) if node.level else ""
            start = ".".join(part for part in (package, node.module) if part)
            found |= {f"{start}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, such as "io.dicom"; "" is `anogan/__init__.py`."""
    found = set()
    for name in imports(path.read_text(encoding="utf-8"), module_name(path)):
        if name.split(".")[0] != "anogan":
            continue
        inner = name.removeprefix("anogan").removeprefix(".")
        while inner not in MODULES:  # the last parts are names inside the module
            inner = inner.rpartition(".")[0]
        found.add(inner)
    return found


def test_imports_are_read_in_every_spelling() -> None:
    source = "import anogan.io\nfrom anogan import scan\nfrom anogan.io.dicom import read\nfrom . import raster\n"
    assert imports(source, "io.results") == {"anogan.io", "anogan.scan", "anogan.io.dicom.read", "anogan.io.raster"}


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    module = module_name(path)
    if not module:
        pytest.skip("the public names of anogan/__init__.py come from everywhere, and load lazily")
    home = module.split(".")[0]
    assert home in RANK, f"give {home} a place in LAYERS"
    for name in own_imports(path):
        assert name, f"{module} imports the public names; import from the module that defines them"
        assert RANK[name.split(".")[0]] <= RANK[home], f"{module} must not import {name}"


def test_imports_run_in_no_circle() -> None:
    graph = {module_name(path): own_imports(path) - {"", module_name(path)} for path in SOURCES if module_name(path)}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    ("library", "homes"), [("streamlit", {"dashboard", "app"}), ("pydicom", {"io", "pacs", "results", "privacy"})]
)
def test_some_libraries_stay_in_their_place(library: str, homes: set[str]) -> None:
    users = {
        module_name(path).split(".")[0]
        for path in SOURCES
        if any(name.split(".")[0] == library for name in imports(path.read_text(encoding="utf-8")))
    }
    assert users, f"nothing imports {library}: is this test reading the right files?"
    assert users <= homes


def test_every_module_is_named_for_what_it_does() -> None:
    vague = {"util", "utils", "helper", "helpers", "common", "core", "base", "misc"}
    assert not vague & {path.stem for path in ROOT.glob("anogan/**/*")}


@pytest.mark.parametrize("path", [*SOURCES, ROOT / "app.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_nothing_is_pickled() -> None:
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert "allow_pickle=True" not in text, path
        names = imports(text)
        assert not names & {"pickle", "torch.save", "joblib"}, path
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)}
        assert not calls & {"torch.save", "torch.load"}, path


def test_tables_for_people_are_written_in_one_place() -> None:
    # The others write manifests that are read back, and keep rows of tables as they stand.
    allowed = {"storage.spreadsheet", "data.synthetic.brain", "data.synthetic.portrait", "privacy.erasure"}
    writers = {module_name(path) for path in SOURCES if re.search(r"csv\.(Dict)?[wW]riter", path.read_text("utf-8"))}
    assert writers == allowed, "use anogan.storage.spreadsheet.table: a spreadsheet runs what begins like a formula"
