"""Write the generated parts of the docs: messages, fields, limits and the life of a job in
protocol.md, the worked example and its drawing in clearing.md.

    python docs/generate.py           rewrite them
    python docs/generate.py --check   only tell whether they are up to date

Each part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; everything else is written
by hand. What is said of a field is the string that follows it in the source, so that code and
document cannot disagree.
"""

import ast
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import clearing_example

from swatow_protocol import limits, messages
from swatow_protocol.errors import Refusal
from swatow_protocol.lifecycle import JobEvent, JobState, diagram
from swatow_protocol.messages import (
    SIGNED_KINDS,
    answers,
    award,
    base,
    fields,
    job,
    model,
    network_map,
    offer,
    order,
    payment,
    service,
)
from swatow_protocol.messages.base import Message

HERE = Path(__file__).parent
DRAWING = HERE / "clearing.svg"
MODULES = (model, network_map, offer, order, award, job, payment, service)


def main() -> None:
    """Rewrite what is generated, or compare it."""
    made = {DRAWING: clearing_example.drawing()}
    for page, parts in PAGES.items():
        made[page] = page.read_text("utf-8")
        for name, make in parts.items():
            made[page] = _replace(made[page], page, name, make())
    for path, new in made.items():
        if "--check" not in sys.argv[1:]:
            path.write_text(new, "utf-8")
        elif not path.exists() or new != path.read_text("utf-8"):
            sys.exit(f"docs/{path.name} is out of date: run `make docs`")


def signed_messages() -> str:
    """Every signed kind: what it is, its size and age, its fields."""
    parts = [_fields_table(Message, heading="The head of every signed message")]
    for kind in SIGNED_KINDS:
        size = f"at most {kind.BYTES_MAX // 1024} KiB"
        age = kind.AGE_MAX_US
        fresh = f", at most {age // 1_000_000} s old" if age is not None else ""
        parts.append(_fields_table(kind, heading=f"{kind.__name__} ({size}{fresh})"))
    return "\n".join(parts)


def bodies() -> str:
    """Parts of messages and bodies of frames."""
    return "\n".join(
        _fields_table(kind, heading=kind.__name__)
        for module in MODULES
        for kind in _structs(module)
        if not issubclass(kind, Message)
    )


def answer_bodies() -> str:
    """What a market answers."""
    return "\n".join(_fields_table(kind, heading=kind.__name__) for kind in _structs(answers))


def field_types() -> str:
    """The bounded types of fields."""
    rows = [(f"`{name}`", doc) for name, _, doc in _documented(_tree(fields).body)]
    return _table(("type", "meaning and bound"), rows)


def enumerations() -> str:
    """Closed lists of values."""
    parts = []
    for module in (fields, job, service, answers):
        for name, kind in _classes(module):
            if issubclass(kind, enum.Enum):
                parts.append(_enum_table(name, kind))
    parts.append(_enum_table("Refusal", Refusal))
    return "\n".join(parts)


def wire_limits() -> str:
    """Every bound of the wire."""
    rows = [
        (f"`{name}`", f"{getattr(limits, name):,}", doc)
        for name, _, doc in _documented(_tree(limits).body)
    ]
    return _table(("limit", "value", "what it bounds"), rows)


def lifecycle() -> str:
    """The life of a job as a diagram, with what states and events mean."""
    parts = ["```mermaid", diagram(), "```", ""]
    parts += [_enum_table("state", JobState), _enum_table("event", JobEvent)]
    return "\n".join(parts)


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    HERE / "protocol.md": {
        "signed messages": signed_messages,
        "bodies": bodies,
        "answers": answer_bodies,
        "field types": field_types,
        "enumerations": enumerations,
        "limits": wire_limits,
        "lifecycle": lifecycle,
    },
    HERE / "clearing.md": {"example": clearing_example.tables},
}


def _replace(page: str, path: Path, name: str, text: str) -> str:
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert len(pattern.findall(page)) == 1, f"docs/{path.name} needs one part {name!r}"
    return pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", page)


def _fields_table(kind: type, heading: str) -> str:
    """Return a heading, the first words of the docstring, and the fields a kind adds."""
    tree = next(
        node
        for node in _tree(inspect.getmodule(kind)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    about = _one_line(ast.get_docstring(tree) or "")
    shown = [
        (name, type_, doc)
        for name, type_, doc in _documented(tree.body)
        if "ClassVar" not in type_ and (name != "kind" or kind is Message)
    ]
    undescribed = [name for name, _, doc in shown if not doc]
    assert not undescribed, f"{kind.__name__}: say what {', '.join(undescribed)} mean"
    rows = [(f"`{name}`", f"`{type_}`", doc) for name, type_, doc in shown]
    return f"\n#### {heading}\n\n{about}\n\n{_table(('field', 'type', 'meaning'), rows)}"


def _enum_table(name: str, kind: type[enum.Enum]) -> str:
    tree = next(
        node
        for node in _tree(inspect.getmodule(kind)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    docs = {member: doc for member, _, doc in _documented(tree.body)}
    rows = [(f"`{member.value}`", docs.get(member.name, "")) for member in kind]
    about = _one_line(ast.get_docstring(tree) or "")
    return f"\n#### {name}\n\n{about}\n\n{_table(('value', 'meaning'), rows)}"


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str, str]]:
    """Yield (name, type, the string that follows) of assignments."""
    for index, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, type_ = node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, type_ = node.targets[0].id, ""
        else:
            continue
        following = body[index + 1] if index + 1 < len(body) else None
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = str(following.value.value)
        yield name, type_, _one_line(doc)


def _structs(module: ModuleType) -> Iterator[type]:
    for _, kind in _classes(module):
        if issubclass(kind, base.Body):
            yield kind


def _classes(module: ModuleType) -> Iterator[tuple[str, type]]:
    """Yield the classes that a module defines, in the order of its source."""
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, getattr(module, node.name)


def _tree(module: ModuleType | None) -> ast.Module:
    assert module is not None
    return ast.parse(inspect.getsource(module))


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return "(no fields of its own)"
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


assert set(messages.__all__) >= {kind.__name__ for kind in SIGNED_KINDS}

if __name__ == "__main__":
    main()
