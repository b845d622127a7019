"""Whoever follows a page arrives: links, anchors, files, commands and tests that it names are there."""

from __future__ import annotations

import html.parser
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from aiprod.cli.commands import COMMANDS, load

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "examples" / "README.md", *(ROOT / "docs").rglob("*.md")])
LANDING = ROOT / "docs" / "landing.html"
#: Folders whose files a page may name from the top of the checkout.
ROOMS = ("tests", "tools", "include", "plugins", "dags", "docs", "benchmarks", "deploy", "examples")
#: What is made by whoever follows the page.
MADE = {"include/aiprod/backends/lumen.py"}

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.S | re.M)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]*(?:\([^()]*\))?[^()\s]*)\)")
_TAG = re.compile(r"<(?:img|a|source)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
_PATH = re.compile(rf"(?<![\w./-])((?:{'|'.join(ROOMS)})/[\w./*-]*[\w*/])")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)(?:::(\w+))?")
_MODULE = re.compile(r"(?:python3?|python) -m ((?:tools|benchmarks|tests|aiprod)(?:\.\w+)*)")
_WORD = re.compile(r"^[a-z][a-z-]*$")


@cache
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", text(page))


def code(page: Path) -> list[str]:
    """Everything that is set as code, blocks and words."""
    return [match[0] for match in _FENCE.finditer(text(page))] + _SPAN.findall(prose(page))


def links(page: Path) -> list[str]:
    bare = _SPAN.sub(lambda span: "x" * len(span[0]), prose(page))
    return _LINK.findall(bare) + _TAG.findall(bare)


@cache
def anchors(page: Path) -> set[str]:
    """The names under which headings are reached: lower case, no punctuation, hyphens for blanks."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6}\s+(.*?)\s*$", prose(page), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(name if name not in found else next(f"{name}-{n}" for n in range(1, 99) if f"{name}-{n}" not in found))
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text(page)))


def there(path: str, start: Path = ROOT) -> bool:
    """Whether a path, or a pattern of paths, leads to something."""
    return any(start.glob(path)) if "*" in path else (start / path).exists()


def named(page: Path) -> Iterator[str]:
    """Paths from the top of the checkout that the page sets as code; a colon or a point at the end is the sentence's."""
    for part in code(page):
        yield from (path.rstrip("./") for path in _PATH.findall(part))


def spoken(page: Path, program: str) -> Iterator[list[str]]:
    """The words after a program's name, up to the first that is an option or a value."""
    for part in code(page):
        for line in re.sub(r"\\\n", " ", part).splitlines():
            line = re.sub(r"(^|\s)#\s.*", "", line)
            for rest in re.findall(rf"(?:^|[\s$;&|(]){program} +([^#;&`(]*)", line):
                words: list[str] = []
                for word in rest.split():
                    if not all(_WORD.match(one) for one in word.rstrip(",.").split("|")):
                        break
                    words.append(word.rstrip(",."))
                yield words


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))


@cache
def verbs(command: str) -> set[str]:
    """The words that a group of commands knows; none for a command that stands alone."""
    return set(getattr(load(command), "commands", {}) or {})


def unknown(words: list[str]) -> list[str]:
    """What of `aiprod WORD [WORD]` is no command; alternatives are written `show|set`."""
    first, *more = words
    if any(one not in COMMANDS for one in first.split("|")):
        return [first]
    if "|" in first or not more or not verbs(first):
        return []
    return [one for one in more[0].split("|") if one not in verbs(first)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
class TestPage:
    def test_its_links_lead_somewhere(self, page: Path) -> None:
        lost = []
        for link in links(page):
            if re.match(r"^[a-z][a-z0-9+.-]*:", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            goal = (page.parent / path).resolve() if path else page
            astray = anchor and goal.suffix == ".md" and goal.exists() and anchor not in anchors(goal)
            if astray or not goal.exists() or not goal.is_relative_to(ROOT):
                lost.append(link)

        assert lost == []

    def test_the_files_it_names_are_there(self, page: Path) -> None:
        assert [path for path in named(page) if path not in MADE and not there(path)] == []

    def test_the_tests_it_names_are_there(self, page: Path) -> None:
        lost = []
        for file, *names in _TEST.findall(text(page)):
            source = text(ROOT / file) if (ROOT / file).exists() else ""
            lost += [f"{file}::{name}" for name in names if name and not re.search(rf"(def|class) {name}\b", source)]

        assert lost == []

    def test_what_it_makes_can_be_made(self, page: Path) -> None:
        assert [word for words in spoken(page, "make") for word in words if word not in targets()] == []

    def test_the_commands_it_tells_are_known(self, page: Path) -> None:
        told = [*spoken(page, "aiprod"), *spoken(page, r"\S*python -m aiprod\.cli")]

        assert [" ".join(words) for words in told if words and unknown(words)] == []

    def test_the_programs_it_runs_are_there(self, page: Path) -> None:
        modules = {name for part in code(page) for name in _MODULE.findall(part)}

        assert [name for name in sorted(modules) if importlib.util.find_spec(name) is None] == []


class TestEveryPageIsFound:
    def test_a_page_is_linked_from_another(self) -> None:
        linked = {(page.parent / unquote(link).partition("#")[0]).resolve() for page in PAGES for link in links(page)}

        assert [page.name for page in PAGES if page not in linked and page.name not in ("README.md", "index.md")] == []

    def test_a_page_is_in_the_site(self) -> None:
        site = (ROOT / "mkdocs.yml").read_text()
        pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")]

        assert [page for page in pages if not re.search(rf"\b{re.escape(page)}\b", site)] == []

    def test_pictures_are_shown_somewhere(self) -> None:
        shown = {Path(link).name for page in PAGES for link in links(page)} | set(
            re.findall(r"pictures/([\w.-]+)", text(LANDING))
        )
        kept = [path.name for path in (ROOT / "docs" / "pictures").iterdir() if not path.name.startswith("studio-")]

        assert [name for name in kept if name not in shown] == []


class Landing(html.parser.HTMLParser):
    """What the landing page asks for, and the names that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.names: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.asked += [given[name] for name in ("href", "src") if name in given]
        self.asked += [part.split()[0] for part in given.get("srcset", "").split(",") if part.split()]
        self.names |= {given["id"]} if "id" in given else set()
        self.scripts += tag == "script"


@pytest.fixture
def landing() -> Landing:
    parser = Landing()
    parser.feed(text(LANDING))
    return parser


class TestLanding:
    def test_it_asks_nobody_else(self, landing: Landing) -> None:
        assert [link for link in landing.asked if re.match(r"^([a-z][a-z0-9+.-]*:)?//|^https?:", link)] == []
        assert re.findall(r"url\((?!['\"]?(?:data:|pictures/))[^)]*\)|@import", text(LANDING)) == []
        assert landing.scripts == 0

    def test_what_it_asks_for_is_there(self, landing: Landing) -> None:
        lost = []
        for link in landing.asked:
            path, _, anchor = link.partition("#")
            if link.startswith("data:"):
                continue
            if path and not (LANDING.parent / path).exists():
                lost.append(link)
            if not path and anchor not in landing.names:
                lost.append(link)

        assert lost == []


class TestTheseTestsCanFail:
    """A page with one of every mistake."""

    PAGE = (
        "# A title: of `two` words\n[a](nowhere.md) [b](#a-title-of-two-words) [c](#elsewhere)\n"
        "`make cake` `make up` `make down up` `aiprod fly` `aiprod budget show|eat` `aiprod budget show` `tests/nowhere.py`"
        " `tests/docs/*.py` `var/x.json` `python -m tools.nowhere`\n"
        "tests/docs/test_links.py::test_that_nobody_wrote tests/docs/test_links.py::TestPage\n"
        "```\nmake test   # make nothing\nPYTHONPATH=include .venv/bin/python -m aiprod.cli sing --loud\n```\n"
    )

    @pytest.fixture
    def page(self, tmp_path: Path) -> Path:
        path = tmp_path / "page.md"
        path.write_text(self.PAGE)
        return path

    @pytest.mark.parametrize("promise", [name for name in vars(TestPage) if name.startswith("test_")])
    def test_every_promise_notices(self, page: Path, promise: str) -> None:
        with pytest.raises((AssertionError, ModuleNotFoundError)):
            getattr(TestPage(), promise)(page)

    def test_only_the_mistakes_are_told(self, page: Path) -> None:
        assert anchors(page) == {"a-title-of-two-words"}
        assert [path for path in named(page) if path not in MADE and not there(path)] == ["tests/nowhere.py"]
        assert [w for words in spoken(page, "make") for w in words if w not in targets()] == ["cake"]
        assert [words for words in spoken(page, "aiprod") if unknown(words)] == [["fly"], ["budget", "show|eat"]]
        assert list(spoken(page, r"\S*python -m aiprod\.cli")) == [["sing"]]
