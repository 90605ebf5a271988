"""The rules of the house that a parser can check."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from matdisc.cli.schema import CONFIG_MODELS, config_model
from matdisc.config import PLUGIN_GROUPS, Spec, load_config, plugin_spec

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "matdisc"
FILES = sorted(SRC.rglob("*.py"))
ROOMS = [
    "errors",
    "config",
    "runs",
    "executors",
    "composition",
    "data",
    "features",
    "predictors",
    "screening",
    "firstprinciples",
    "discovery",
    "reports",
    "bench",
    "testing",
    "api",
    "cli",
]
HEAVY = {"torch", "pymatgen", "matminer", "pandas", "sklearn", "numba", "scipy"}
CONFIGS = sorted((ROOT / "configs").glob("*/*.yaml"))


def room(module: str) -> str | None:
    """The room of ``matdisc.<room>...``; none for the root package and other packages."""
    parts = module.split(".")
    if parts[0] != "matdisc" or len(parts) == 1:
        return None
    return "cli" if parts[1] == "__main__" else parts[1]


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from matdisc.runs import files` imports a module, `... import Run` a name of one.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack += node.orelse
            continue
        stack += list(ast.iter_child_nodes(node))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def test_every_module_is_in_a_room():
    strangers = {room(name) for name in MODULES} - {None, *ROOMS}
    assert not strangers, f"rooms that DESIGN.md does not know: {sorted(strangers)}"
    assert not [name for name in MODULES if "utils" in name]


def test_imports_follow_the_order_of_the_rooms(trees):
    breaches = []
    for name, tree in trees.items():
        here = room(name)
        if here is None:
            continue
        allowed = {None, *ROOMS[: ROOMS.index(here) + 1]}
        breaches += [
            f"{name} imports {other}"
            for other in imported(ast.walk(tree))
            if room(other) not in allowed
        ]
    assert not breaches


def test_no_import_cycle_between_modules(trees):
    graph = {
        name: {other for other in imported(at_import(tree)) if other in MODULES}
        for name, tree in trees.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_root_and_the_entry_point_are_light():
    light = ["matdisc", "matdisc.config", "matdisc.runs", "matdisc.executors", "matdisc.cli"]
    light += sorted(
        name
        for name, path in MODULES.items()
        if path.name.endswith("specs.py") or path.name == "__init__.py" or room(name) == "cli"
    )
    code = (
        "import importlib, json, sys\n"
        f"heavy, found = {sorted(HEAVY)!r}, {{}}\n"
        f"for name in {light!r}:\n"
        "    if name != 'matdisc.__main__':\n"
        "        importlib.import_module(name)\n"
        "    found[name] = [h for h in heavy if h in sys.modules]\n"
        "print(json.dumps(found))\n"
    )
    found = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    first = next((f"{name} loads {heavy}" for name, heavy in found.items() if heavy), None)
    assert first is None
    assert len(found) > 10


def test_help_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from matdisc.cli import main\n"
        "code = main(['--help'])\n"
        f"print('loaded', code, *[h for h in {sorted(HEAVY)!r} if h in sys.modules])\n"
    )
    lines = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert lines[-1].split() == ["loaded", "0"]


def test_no_pickle_anywhere(trees):
    forbidden = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    calls = {"torch.load", "torch.save", "pd.read_pickle", "pandas.read_pickle"}
    for name, tree in trees.items():
        modules = {other.split(".")[0] for other in imported(ast.walk(tree))}
        assert not modules & forbidden, name
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in calls, f"{name}:{node.lineno}"
                for key in node.keywords:
                    assert key.arg != "allow_pickle" or ast.unparse(key.value) == "False", name


def test_only_the_command_line_prints_and_sets_up_logging(trees):
    forbidden = {"print", "logging.basicConfig", "warnings.filterwarnings", "warnings.simplefilter"}
    for name, tree in trees.items():
        if room(name) == "cli":
            continue
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert "print" not in called, name
        assert "logging.basicConfig" not in called, name
        at_once = {ast.unparse(node.func) for node in at_import(tree) if isinstance(node, ast.Call)}
        assert not at_once & forbidden, name


def test_files_stay_readable():
    long = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES
    }
    assert {name: lines for name, lines in long.items() if lines > 500} == {}


def test_every_package_says_what_it_is(trees):
    for name, tree in trees.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"


def registered() -> list[tuple[str, str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [(group, kind) for group in PLUGIN_GROUPS for kind in project["entry-points"][group]]


@pytest.mark.parametrize(("group", "kind"), registered())
def test_every_registered_spec_is_light_documented_and_buildable(group, kind):
    assert kind in {ep.name for ep in entry_points(group=group)}, "reinstall: pip install -e ."
    spec = plugin_spec(group, kind)
    assert issubclass(spec, Spec)
    assert spec.model_fields["kind"].default == kind
    assert spec.__doc__
    assert callable(getattr(spec, "build", None))
    assert spec(**required(spec)).model_dump()["kind"] == kind


def required(spec: type[Spec]) -> dict[str, object]:
    """Values for the fields without a default; built-in specs should hardly need any."""
    known = {"dataset": "datasets/example.yaml"}
    return {
        name: known[name]
        for name, field in spec.model_fields.items()
        if field.is_required() and name in known
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_config_loads(path):
    assert path.parent.name in CONFIG_MODELS, "a config folder has the name of its verb"
    load_config(path, config_model(path.parent.name))
