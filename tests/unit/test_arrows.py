"""Which room may import which: the arrows of docs/architecture.md, read from the code's own imports."""

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/regionflow"
SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
TOP = {"cli", "dataset", "verify", "__init__"}


def room_of(module: str) -> str:
    """The room of a dotted module name below regionflow."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> set[str]:
    """All modules of regionflow that a file imports, at its head or inside a function."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "regionflow":
            names = [alias.name for alias in node.names]
            is_package = (SOURCE.parent / node.module.replace(".", "/")).is_dir()
            modules |= {f"{node.module}.{name}" for name in names} if is_package else {node.module}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names if alias.name.split(".")[0] == "regionflow"}
    return modules - {"regionflow.__version__"}


def arrows() -> dict[str, set[str]]:
    """The rooms that each room imports."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE)
        room = place.parts[0] if len(place.parts) > 1 else place.stem
        found[room] |= {room_of(module) for module in imports_of(path)} - {room}
    return found


ARROWS = arrows()
ROOMS = sorted(ARROWS.keys() - TOP)


def test_there_are_no_circles_between_rooms() -> None:
    order = list(TopologicalSorter({room: ARROWS[room] for room in ARROWS if room not in TOP}).static_order())
    assert order.index("base") < order.index("formats") < order.index("run")


def test_there_are_no_circles_between_modules() -> None:
    graph = {}
    for path in SOURCE.rglob("*.py"):
        name = ".".join(("regionflow", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        graph[name] = {_module(dotted) for dotted in imports_of(path)} - {name, "regionflow"}
    assert list(TopologicalSorter(graph).static_order())


def _module(dotted: str) -> str:
    """The module of a dotted name, which may end in something that the module defines."""
    is_module = (SOURCE.parent / f"{dotted.replace('.', '/')}.py").exists()
    return dotted if is_module else dotted.rpartition(".")[0]


def test_the_base_knows_nobody() -> None:
    assert not ARROWS["base"]


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_below_imports_run_or_config(room: str) -> None:
    allowed = {"run": {"config"}, "config": set()}.get(room, set())
    assert ARROWS[room] & {"run", "config", "cli"} <= allowed


def test_formats_import_no_step() -> None:
    assert ARROWS["formats"] <= {"base"}
    assert ARROWS["weights"] <= {"base", "formats"}


def test_sam_is_an_engine_below_the_steps() -> None:
    assert ARROWS["sam"] <= {"base", "formats", "weights"}


@pytest.mark.parametrize(
    ("room", "more"), [("report", {"images"}), ("exports", set()), ("dataset", set()), ("verify", set())]
)
def test_readers_of_results_read_formats_only(room: str, more: set[str]) -> None:
    """The report also reads the photos, which lie outside of results/."""
    assert ARROWS[room] <= {"base", "formats"} | more


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "train"])
def test_nothing_but_train_imports_train(room: str) -> None:
    assert "train" not in ARROWS[room]


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_adapters_do_not_import_the_configuration(path: Path) -> None:
    """Only those of a training import train."""
    trains = {"train"} if path.stem in ("parts_model", "parts_probe", "parts_test") else set()
    assert {room_of(module) for module in imports_of(path)} & {"config", "cli", "train"} <= trains


@pytest.mark.parametrize("path", [*SOURCE.rglob("*.py"), *SCRIPTS.glob("*.py")], ids=lambda path: path.stem)
def test_library_and_adapters_do_not_import_snakemake(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert "snakemake" not in {module.split(".")[0] for module in modules}
