"""What is public is what the documentation says: the error tree, the exported names, docstrings."""

import inspect
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import swatow
import swatow.errors
import swatow_protocol.errors
from swatow.errors import ConfigError, LimitsUnmet, OrderRejected, Paid
from swatow_protocol.messages.answers import AdmissionReason

INDENT = 4


def written_tree(module: ModuleType) -> dict[str, str]:
    """Return the tree of a docstring: each name and the one that it hangs on."""
    tree: dict[str, str] = {}
    branch: list[str] = []
    lines = inspect.cleandoc(module.__doc__ or "").splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "SwatowError")
    margin = len(lines[start]) - len(lines[start].lstrip())
    for line in lines[start + 1 :]:
        if not line.strip(" │"):
            break
        name = line.strip(" │├└─").split()[0]
        depth = (line.index(name) - margin) // INDENT
        branch[depth - 1 :] = [name]
        tree[name] = "SwatowError" if depth == 1 else branch[depth - 2]
    return tree


def real_tree(module: ModuleType) -> dict[str, str]:
    """Return the error classes of a module, each with its base."""
    root = swatow_protocol.errors.SwatowError
    found = [each for each in vars(module).values() if inspect.isclass(each)]
    return {
        each.__name__: each.__base__.__name__
        for each in found
        if issubclass(each, root) and each is not root and each.__base__ is not None
    }


def test_the_tree_of_the_protocols_errors_is_the_one_that_is_written_down() -> None:
    module = swatow_protocol.errors
    assert written_tree(module) == real_tree(module)


def test_the_tree_of_the_buyers_errors_is_the_one_that_is_written_down() -> None:
    """Below LocalError and NetworkError the docstring points to the protocol's own tree."""
    written, real = written_tree(swatow.errors), real_tree(swatow.errors)
    own = {name: base for name, base in real.items() if name in vars_of_own(swatow.errors)}
    assert {name: base for name, base in written.items() if name in own} == own


def test_every_branch_that_a_buyer_can_catch_is_written_down() -> None:
    real = real_tree(swatow.errors)
    branches = {name for name, base in real.items() if base == "SwatowError"}
    written = written_tree(swatow.errors)
    assert {name for name, base in written.items() if base == "SwatowError"} == branches


def vars_of_own(module: ModuleType) -> set[str]:
    """Return the names of the classes that a module defines itself."""
    found = vars(module).items()
    return {name for name, each in found if getattr(each, "__module__", "") == module.__name__}


def test_what_the_error_module_exports_is_what_it_has() -> None:
    exported = set(swatow.errors.__all__)
    assert exported == real_tree(swatow.errors).keys() | {"SwatowError", "Paid"}
    assert swatow.errors.__all__ == sorted(swatow.errors.__all__)


def test_the_package_exports_what_it_names() -> None:
    names = {
        name
        for name, each in vars(swatow).items()
        if getattr(each, "__module__", "").startswith("swatow") and not name.startswith("_")
    }
    assert names | {"__version__"} == set(swatow.__all__)
    for name in swatow.__all__:
        assert getattr(swatow, name) is not None


def test_nothing_of_anybody_else_can_be_imported_from_the_package() -> None:
    """A name that is there is used by somebody, and can then never be taken away."""
    public = {
        name
        for name, each in vars(swatow).items()
        if not name.startswith("_") and not inspect.ismodule(each)
    }
    assert public <= set(swatow.__all__)


def public_things() -> list[tuple[str, Any]]:
    things: list[tuple[str, Any]] = []
    for module in (swatow, swatow.errors):
        for name in module.__all__:
            each = getattr(module, name)
            if not inspect.isclass(each):
                continue
            things.append((f"{module.__name__}.{name}", each))
            things += [
                (f"{module.__name__}.{name}.{member}", value)
                for member, value in vars(each).items()
                if not member.startswith("_") and (inspect.isfunction(value) or is_property(value))
            ]
    return things


def is_property(value: Any) -> bool:
    return isinstance(value, property)


THINGS = dict(public_things())


@pytest.mark.parametrize("name", THINGS)
def test_everything_public_says_what_it_is(name: str) -> None:
    text = inspect.cleandoc(THINGS[name].__doc__ or "")
    assert text, name
    assert not text.startswith(f"{name.rpartition('.')[2]}("), "a docstring made by dataclass"


def test_the_errors_carry_what_a_caller_can_act_on() -> None:
    rejected = OrderRejected(AdmissionReason.TOO_MANY, "")
    assert str(rejected) == "order rejected: too_many"
    unmet = LimitsUnmet((), 0.5)
    assert str(unmet) == "no offer met the order in 0.5 s; unmet: unknown"
    assert str(Paid(0, 0, "USD", 0)).endswith("0 standard tokens, 0.00 USD")


def test_a_client_that_cannot_be_made_leaves_no_thread_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^market: "):
        swatow.Client(directory=str(tmp_path))
    assert "swatow" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"market": "host:7700"}, "market"),
        ({"market": "00@host:7700"}, "market"),
        ({"max_price": "cheap"}, "max_price"),
        ({"max_price": -1}, "max_price"),
        ({"order_lots": 0}, "order_lots"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_a_setting_that_cannot_be_is_named(
    tmp_path: Path, arguments: dict[str, Any], named: str
) -> None:
    market = f"{'00' * 32}@127.0.0.1:1"
    with pytest.raises(swatow.errors.LocalError, match=f"^{named}"):
        swatow.Client(directory=str(tmp_path), **{"market": market, **arguments})


@pytest.mark.parametrize("price", ["0.20", 0.2, 1])
def test_a_price_is_text_or_a_number(tmp_path: Path, price: Any) -> None:
    market = f"{'00' * 32}@127.0.0.1:1"
    with swatow.Client(directory=str(tmp_path), market=market, max_price=price) as client:
        assert len(client.key) == 64
