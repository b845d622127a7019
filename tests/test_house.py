"""The shape of the house, held in place by tests rather than by memory."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.airflow_home  # before Airflow is imported

# isort: split
from airflow.sdk._shared.module_loading import find_path_from_directory

ROOT = Path(__file__).parents[1]
ROOMS = {ROOT / "include": "aiprod", ROOT / "plugins": "aiprod_airflow"}

#: Modules without a test of their own name, and where their promises are kept. This list may only shrink.
TESTED_ELSEWHERE = {
    "aiprod/backends/base.py": "declarations only; every backend is held to them by its own tests",
    "aiprod/backends/animatic_film.py": "a part of animatic.py: test_animatic.py looks at the film that comes out",
    "aiprod/backends/animatic_picture.py": "a part of animatic.py: test_animatic.py looks at the film that comes out",
    "aiprod/backends/animatic_scenery.py": "a part of animatic.py: test_animatic.py looks at the film that comes out",
    "aiprod/assembly/picture.py": "a part of joining.py: test_joining.py looks at the video that comes out",
    "aiprod/assembly/sound.py": "a part of joining.py: test_joining.py listens to the video that comes out",
    "aiprod/qa/container.py": "a part of measure.py: test_measure.py cuts files short",
}

#: Modules of more than 300 lines, and why they are one subject. This list may only shrink.
LONG = {
    "aiprod/catalog.py": "the schema of every configuration file, read from top to bottom",
    "aiprod/ledger/purchases.py": "every transition of a purchase; split, nobody sees that they fit",
    "aiprod/ledger/schema.py": "every table with its constraints",
    "aiprod/models.py": "the nouns, in the order in which a job meets them",
    "aiprod/purchasing.py": "the one door through which money leaves; split, there are two",
}

#: What only steps that draw, decode or migrate may load: 0.3 s of imports that every task process would pay.
HEAVY = (
    "av", "cv2", "PIL", "numpy", "alembic", "psycopg", "runwayml", "google.genai", "grpc", "google.cloud.monitoring_v3",
    "aiprod.metrics.google", "aiprod.metrics.otlp",
)  # fmt: skip

#: Where the environment is read: settings, and the vendors' keys.
READ_THE_ENVIRONMENT = {"aiprod/settings.py", "aiprod/backends/keys.py"}

#: Folders that are made, not written.
_MADE = {".git", ".venv", ".airflow", "var", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache"}


def modules() -> dict[str, Path]:
    """Every module of ours by its path below `include` or `plugins`; migrations are history and stay as they were."""
    return {
        path.relative_to(base).as_posix(): path
        for base, package in ROOMS.items()
        for path in sorted((base / package).rglob("*.py"))
        if "versions" not in path.parts
    }


def files() -> Iterator[Path]:
    """Every file that somebody wrote."""
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in _MADE and not name.endswith(".egg-info")]
        yield from (Path(folder) / name for name in names)


def written(suffix: str) -> list[Path]:
    return sorted(path for path in files() if path.suffix == suffix)


def imported(path: Path) -> set[str]:
    """Every module that a file imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"{'.' * node.level}{node.module or ''}")
    return found


class TestTwins:
    """Every module has its test in the same place."""

    def twin(self, module: str) -> Path:
        return (ROOT / "tests" / module).with_name(f"test_{Path(module).name}")

    def owed(self) -> list[str]:
        return [module for module in modules() if Path(module).name not in ("__init__.py", "__main__.py", "env.py")]

    def test_a_module_is_tested_where_one_looks_for_it(self) -> None:
        alone = [module for module in self.owed() if module not in TESTED_ELSEWHERE and not self.twin(module).exists()]

        assert alone == []

    def test_nothing_is_excused_that_needs_no_excuse(self) -> None:
        needless = [module for module in TESTED_ELSEWHERE if module not in modules() or self.twin(module).exists()]

        assert needless == []


class TestSize:
    def lines(self, module: str) -> int:
        return len(modules()[module].read_text().splitlines())

    def test_a_module_is_at_most_300_lines(self) -> None:
        assert [module for module in modules() if module not in LONG and self.lines(module) > 300] == []

    def test_nothing_is_excused_that_needs_no_excuse(self) -> None:
        assert [module for module in LONG if module not in modules() or self.lines(module) <= 300] == []


class TestNames:
    def test_nothing_is_called_utils_helpers_or_common(self) -> None:
        vague = re.compile(r"(^|[/_])(utils?|helpers?|common|misc)($|[/_])")

        assert [path for path in written(".py") if vague.search(path.relative_to(ROOT).with_suffix("").as_posix())] == []

    @pytest.mark.parametrize("prefix", ["include", "plugins"])
    def test_one_module_has_one_name(self, prefix: str) -> None:
        """The same file imported under two names is two modules, with two sets of classes."""
        assert [path for path in written(".py") for name in imported(path) if name.split(".")[0] == prefix] == []

    def test_nothing_names_a_place_to_fetch_packages_from(self) -> None:
        """Which registry is used is the business of the machine that installs."""
        # Taken apart, so that this file does not name them.
        names = ("py" + r"pi\.", "pythonhos" + "ted", "npm" + r"js\.", "--(extra-)?index-" + "url")
        hosts = re.compile("|".join(names))
        texts = {path: path.read_bytes() for path in files() if path.stat().st_size < 1_000_000}

        assert [path for path, text in texts.items() if b"\0" not in text and hosts.search(text.decode(errors="replace"))] == []

    def test_the_environment_is_read_in_one_place(self) -> None:
        readers = {module for module, path in modules().items() if re.search(r"os\.environ|getenv", path.read_text())}

        assert readers == READ_THE_ENVIRONMENT


class TestAirflow:
    @pytest.mark.filterwarnings("default:GitWildMatchPattern:DeprecationWarning")
    def test_the_plugin_loader_runs_exactly_one_file(self) -> None:
        """It executes every file it finds in every process, under its bare name."""
        found = find_path_from_directory(ROOT / "plugins", ".airflowignore", "glob")

        assert [Path(file).name for file in found if file.endswith(".py")] == ["aiprod_plugin.py"]

    @pytest.mark.parametrize(
        "load",
        [
            "import aiprod_plugin",
            "import aiprod_airflow.triggers.render",
            "import runpy; runpy.run_path('dags/render_video.py')",
            "import runpy; runpy.run_path('dags/reconcile.py')",
            "import runpy; runpy.run_path('dags/dispatch.py')",
            "import runpy; runpy.run_path('dags/parked.py')",
            "import runpy; runpy.run_path('dags/notify.py')",
            "import runpy; runpy.run_path('dags/bulk_render.py')",
            "import runpy; runpy.run_path('dags/metrics.py')",
            "import runpy; runpy.run_path('dags/deploy_monitoring.py')",
        ],
        ids=[
            "plugin",
            "trigger",
            "render_video",
            "reconcile",
            "dispatch",
            "parked",
            "notify",
            "bulk_render",
            "metrics",
            "deploy_monitoring",
        ],
    )
    def test_what_every_process_loads_is_light(self, load: str) -> None:
        probe = f"import sys; exec({load!r}); print(sorted(set(sys.modules) & set({HEAVY!r})))"
        env = {
            "PYTHONPATH": os.pathsep.join(str(base) for base in ROOMS),
            "AIRFLOW_HOME": tests.airflow_home.HOME,
            "PATH": os.environ["PATH"],
        }

        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=env, cwd=ROOT)

        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=lambda path: path.stem)
class TestDagsOnlyWire:
    def test_they_import_airflow_and_our_operators_and_nothing_else(self, path: Path) -> None:
        roots = {name.split(".")[0] for name in imported(path)}

        assert roots <= {"__future__", "airflow", "aiprod_airflow", "datetime", "pendulum"}

    def test_they_count_attempts_and_compute_nothing_else(self, path: Path) -> None:
        operations = {type(node.op) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.BinOp)}

        assert operations <= {ast.RShift, ast.Add}

    def test_they_know_no_money_no_sql_and_no_addresses(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        money = re.compile(r"usd|micros|price|cost|amount|cents|dollar")
        outside = re.compile(r"https?://|\b(SELECT|INSERT|UPDATE|DELETE)\b .*\b(FROM|INTO|SET)\b")

        assert [name for name in names if money.search(name)] == []
        assert [text for text in strings if outside.search(text)] == []

    def test_they_map_nothing(self, path: Path) -> None:
        """A branch inside a mapped group is ignored by Airflow 3.2 to 3.3.2, and every backend renders."""
        called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}

        assert called.isdisjoint({"expand", "expand_kwargs", "partial"})
