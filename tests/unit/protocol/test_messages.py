"""The shape of every message: positional, immutable, bounded, and no default that allows much."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

import swatow_protocol.messages
from swatow_protocol import codec, limits
from swatow_protocol.envelope import COUNTERSIGN_DOMAIN, domain
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import (
    SIGNED_KINDS,
    VERSION,
    Attributes,
    Body,
    Limits,
    Message,
    Offer,
    OrderTerms,
    PaymentTerms,
    Promises,
    Usage,
)
from swatow_protocol.messages.order import pack_columns
from tests.support import samples


def _structs() -> list[type[msgspec.Struct]]:
    package = swatow_protocol.messages
    modules = [package, *_modules(package.__path__, package.__name__)]
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct)
    }
    found.discard(msgspec.Struct)
    return sorted(found, key=lambda kind: kind.__name__)


def _modules(path: Any, name: str) -> Iterator[Any]:
    for module in pkgutil.iter_modules(path, f"{name}."):
        yield importlib.import_module(module.name)


STRUCTS = _structs()
each_struct = pytest.mark.parametrize("kind", STRUCTS, ids=[kind.__name__ for kind in STRUCTS])


def test_all_structs_were_found() -> None:
    assert set(SIGNED_KINDS) | {Body, Message, Usage, Limits} < set(STRUCTS)


@each_struct
class TestEveryStruct:
    def test_is_positional_immutable_and_closed(self, kind: type[msgspec.Struct]) -> None:
        config = kind.__struct_config__
        assert config.frozen
        assert config.array_like
        assert config.forbid_unknown_fields
        assert not config.omit_defaults, "every field is present on the wire"
        assert config.tag is None

    def test_takes_its_fields_by_name_only(self, kind: type[msgspec.Struct]) -> None:
        """Positions are the wire's business: code that passes them would break in silence."""
        with pytest.raises(TypeError, match="positional"):
            kind(None)

    def test_bounds_every_field(self, kind: type[msgspec.Struct]) -> None:
        """Hostile bytes are decoded straight into these types, so each must say how much it is."""
        if kind in {Body, Message}:
            return  # never decoded; every kind narrows `kind` to its own name
        for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            for part in _parts(field.type):
                assert _is_bounded(part), f"{kind.__name__}.{field.name}: {part}"


def _parts(found: inspect.Type) -> Iterator[inspect.Type]:
    """Yield a type and all types inside it, but not those of the structs that it names."""
    yield found
    if isinstance(found, inspect.UnionType):
        for choice in found.types:
            yield from _parts(choice)
    elif isinstance(found, inspect.VarTupleType):
        yield from _parts(found.item_type)


def _is_bounded(found: inspect.Type) -> bool:
    match found:
        case inspect.StrType(max_length=longest, pattern=pattern):
            return longest is not None or (pattern is not None and not set("*+") & set(pattern))
        case inspect.BytesType(max_length=longest) | inspect.VarTupleType(max_length=longest):
            return longest is not None
        case inspect.IntType(ge=least, le=most):
            return least is not None and most is not None and most < 2**63
        case inspect.UnionType():
            return True  # its choices are looked at one by one
        case _:
            closed = inspect.EnumType | inspect.LiteralType | inspect.BoolType
            return isinstance(found, closed | inspect.NoneType | inspect.StructType)


def test_every_field_is_on_the_wire_in_the_order_of_the_class() -> None:
    for message, _ in samples.one_of_each():
        plain = msgpack.unpackb(codec.encode(message))
        assert len(plain) == len(message.__struct_fields__)
        assert message.__struct_fields__[:5] == (
            "version",
            "kind",
            "network",
            "sender",
            "issued_us",
        )
        assert plain[0] == VERSION


def test_a_message_cannot_be_changed() -> None:
    for message, _ in samples.one_of_each():
        for name in message.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(message, name, None)
        assert hash(message) == hash(msgspec.structs.replace(message))


def test_no_tag_is_the_beginning_of_another() -> None:
    """Tag + payload is what is signed, so a tag that begins another could be read as either."""
    tags = [*map(domain, SIGNED_KINDS), COUNTERSIGN_DOMAIN]
    assert len(set(tags)) == len(tags)
    for tag in tags:
        assert tag.startswith(b"swatow/1/")
        assert tag.index(0) == len(tag) - 1, "one zero byte, at the end"


def test_what_is_not_stated_is_not_promised_and_not_limited() -> None:
    for empty in (Promises(), Attributes(), Limits()):
        assert set(msgspec.structs.astuple(empty)) == {None}


def test_an_order_that_says_nothing_more_asks_for_nothing_special() -> None:
    terms = OrderTerms(currency="USD", models=(), expires_us=0, award_life_us=0)
    assert terms.limits == Limits()
    assert terms.payment == PaymentTerms()
    assert (terms.all_or_none, terms.immediate, terms.take_or_pay_ppm) == (False, False, 0)
    assert (terms.rate, terms.deadline_us, terms.payer, terms.package) == (None,) * 4


def test_payment_terms_are_those_of_the_protocol_unless_stated() -> None:
    terms = PaymentTerms()
    assert terms.voucher_interval == limits.VOUCHER_INTERVAL
    assert terms.credit_window == limits.CREDIT_WINDOW
    assert set(msgspec.structs.astuple(Usage())) == {0}


@pytest.mark.parametrize(
    ("zone", "valid"),
    [
        ("sg", True),
        ("cn-gd-shantou", True),
        ("us-a-b-c", True),
        ("us-a-b-c-d", False),
        ("SG", False),
        ("s", False),
        ("sg-", False),
        ("sg\n", False),
        ("sg-" + "a" * 24, True),
        ("sg-" + "a" * 25, False),
    ],
)
def test_a_zone_is_a_country_and_up_to_three_finer_parts(zone: str, valid: bool) -> None:
    data = codec.encode(samples.offer(zone=zone))
    if valid:
        assert codec.decode(Offer, data).zone == zone
    else:
        with pytest.raises(MessageRefused, match=re.escape("$[10]")):
            codec.decode(Offer, data)


rows = st.lists(
    st.tuples(
        st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1)
    ),
    min_size=1,
    max_size=50,
)


@given(rows)
def test_columns_are_little_endian_and_of_fixed_width(table: list[tuple[int, int, int]]) -> None:
    terms, lots, prices = pack_columns(table)
    for number, (term, quantity, price) in enumerate(table):
        assert int.from_bytes(terms[2 * number : 2 * number + 2], "little") == term
        assert int.from_bytes(lots[4 * number : 4 * number + 4], "little") == quantity
        piece = prices[8 * number : 8 * number + 8]
        assert int.from_bytes(piece, "little", signed=True) == price
    assert (len(terms), len(lots), len(prices)) == tuple(len(table) * n for n in (2, 4, 8))
