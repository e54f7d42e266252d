"""House rules that no linter knows: sizes, charters, one word a thing, no dead files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "swatow_protocol": ROOT / "protocol",
    "swatow_market": ROOT / "market",
    "swatow_node": ROOT / "node",
    "swatow": ROOT / "sdk",
    "swatow_mesh": ROOT / "mesh",
}
SOURCES = sorted(
    path
    for name, folder in PACKAGES.items()
    for path in (folder / name).rglob("*.py")
    if not {"_generated", "versions"} & set(path.parts)
)
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
# Second words for things that have one (docs: order, offer, award, job, price, node, buyer).
SECOND_WORDS = {"bid", "ask_price", "lease", "listing", "deal", "quote", "provider", "seller"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
class TestEverySource:
    def test_starts_with_its_charter(self, path: Path) -> None:
        assert ast.get_docstring(ast.parse(path.read_text("utf-8")))

    def test_is_not_too_long(self, path: Path) -> None:
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= MODULE_LINES_MAX, f"{lines} lines: what else is in this room?"

    def test_has_no_function_that_is_too_long(self, path: Path) -> None:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
                assert docstring is not None
                assert node.end_lineno is not None
                length = node.end_lineno - docstring
                assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"

    def test_public_things_say_what_they_are(self, path: Path) -> None:
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, kinds) or node.name.startswith("_"):
                continue
            assert ast.get_docstring(node), f"{node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, kinds) and not _is_private_or_overload(member):
                        assert ast.get_docstring(member), f"{node.name}.{member.name}"

    def test_uses_one_word_a_thing(self, path: Path) -> None:
        names = {
            node.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        words = {word for name in names for word in re.findall(r"[a-z]+|[A-Z][a-z]+", name)}
        assert not {word.lower() for word in words} & SECOND_WORDS


def _is_private_or_overload(member: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    overloads = [ast.unparse(each) == "overload" for each in member.decorator_list]
    return member.name.startswith("_") or any(overloads)


def test_every_module_is_used() -> None:
    """A file that nothing imports, starts or mounts is dead."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    text += "".join(path.read_text("utf-8") for path in SOURCES)
    for path in SOURCES:
        if path.name in ("__init__.py", "__main__.py", "env.py"):
            continue
        package = ".".join(path.relative_to(ROOT).parts[1:-1])
        dotted = f"{package}.{path.stem}"
        imported = dotted in text or re.search(
            rf"from {re.escape(package)} import [^\n]*\b{path.stem}\b"
            rf"|from {re.escape(package)} import \([^)]*\b{path.stem}\b",
            text,
        )
        assert imported, f"{name_of(path)} is imported by nobody"


def test_nothing_is_left_to_do() -> None:
    for path in SOURCES:
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text("utf-8")), path
