"""A request body, measured, and hard limits by name: what cannot be is named before it costs."""

from typing import Any

import cyclopts
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow._limit_flags import LimitFlags
from swatow._limits import limits_of
from swatow._request import REQUEST_BYTES_MAX, TEMPLATE_TOKENS_MAX, measure
from swatow.errors import InvalidValue
from swatow_protocol import limits as bounds
from swatow_protocol.messages import Limits, Retention, Service
from tests.support import samples

MODEL = samples.model()
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


def test_a_request_is_passed_on_under_the_markets_name() -> None:
    request = {**HELLO, "temperature": 0.5, "an_engines_own_option": {"deep": [None]}}
    measured = measure({**request, "model": "another"}, MODEL, Service.CHAT, 100)
    assert msgspec.json.decode(measured.body) == {**request, "model": MODEL.name}
    assert measured.service is Service.CHAT


def test_enough_is_set_aside_for_the_longest_prompt_and_answer() -> None:
    measured = measure({**HELLO, "max_tokens": 100}, MODEL, Service.CHAT, 2_048)
    size = len(measured.body)
    assert measured.output_tokens == 100
    assert measured.tokens == -(-size // 4) + 100, "a token of the prompt is a byte at least"
    assert measured.prompt_tokens_most == size + 2 * TEMPLATE_TOKENS_MAX


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, 2_048),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_completion_tokens": None, "max_tokens": 7}, 7),
        ({"max_tokens": None}, 2_048),
        ({"n": 3}, 3 * 2_048),
        ({"n": 3, "max_tokens": 7}, 21),
        ({"n": None}, 2_048),
    ],
)
def test_the_longest_answer_is_what_was_asked_for_or_the_default(
    asked: dict[str, Any], expected: int
) -> None:
    assert measure({**HELLO, **asked}, MODEL, Service.CHAT, 2_048).output_tokens == expected


def test_the_default_is_no_longer_than_the_models_context() -> None:
    assert measure(HELLO, MODEL, Service.CHAT, 10**6).output_tokens == MODEL.context_tokens


def test_an_embedding_has_no_output() -> None:
    measured = measure({"input": "hello"}, MODEL, Service.EMBEDDINGS, 100)
    assert measured.output_tokens == 0
    assert measured.tokens == -(-len(measured.body) // 4)


@pytest.mark.parametrize(
    ("stop", "expected"), [(None, []), ("a", ["a"]), (["a", "b"], ["a", "b"]), ([], [])]
)
def test_stop_sequences_are_one_or_several(stop: Any, expected: list[str]) -> None:
    assert measure({**HELLO, "stop": stop}, MODEL, Service.CHAT, 100).stops == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"n": 0.5}, "n"),
        ({"n": -1}, "n"),
        ({"n": 65}, "n"),
        ({"n": "2"}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": bounds.STANDARD_TOKENS_MAX + 1}, "max_tokens"),
        ({"max_tokens": bounds.STANDARD_TOKENS_MAX, "n": 2}, "max_tokens"),
        ({"stop": 5}, "stop"),
        ({"text": "x" * REQUEST_BYTES_MAX}, "request"),
    ],
)
def test_a_field_outside_its_limits_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidValue) as error:
        measure({**HELLO, **changes}, MODEL, Service.CHAT, 100)
    assert error.value.field == field


def test_a_service_that_the_model_does_not_offer_is_named() -> None:
    with pytest.raises(InvalidValue, match=r"small-model-q4 does not offer completions"):
        measure({"prompt": "x"}, MODEL, Service.COMPLETIONS, 100)


def test_a_request_that_just_fits_is_taken() -> None:
    overhead = len(measure({**HELLO, "text": ""}, MODEL, Service.CHAT, 1).body)
    request = {**HELLO, "text": "x" * (REQUEST_BYTES_MAX - overhead)}
    assert len(measure(request, MODEL, Service.CHAT, 1).body) == REQUEST_BYTES_MAX


@given(left=st.integers(1, 3_000), output=st.integers(1, 2_000))
def test_an_answer_is_cut_to_what_is_left_of_an_award(left: int, output: int) -> None:
    whole = measure({**HELLO, "max_tokens": output}, MODEL, Service.CHAT, 100)
    cut = whole.within(left)
    assert cut.tokens == min(whole.tokens, left)
    assert cut.output_tokens == max(1, min(output, output - (whole.tokens - left)))
    assert (cut.body, cut.prompt_tokens_most) == (whole.body, whole.prompt_tokens_most)


ALL_NAMED: dict[str, Any] = {
    "origin": "sg",
    "round_trip_ms": 80,
    "zones": ["cn-gd", "sg"],
    "zones_refused": ["cn-bj"],
    "jurisdictions": ["cn"],
    "precisions": ["q4_1"],
    "vendors": ["ascend"],
    "vendors_refused": ["nvidia"],
    "features": ["seed"],
    "data_origin": "sg",
    "data_class": 1,
    "corridor": "shantou-2026",
    "retention": 1,
    "carbon_mg_per_lot": 200,
    "time_to_first_token_ms": 1_000,
    "tokens_per_second": 20,
    "reputation": 500,
    "attestations": ["tdx"],
}


def test_every_limit_can_be_given_by_its_name() -> None:
    assert ALL_NAMED.keys() == set(Limits.__struct_fields__)
    limits = limits_of(ALL_NAMED, "limits")
    for name, value in ALL_NAMED.items():
        expected = tuple(value) if isinstance(value, list) else value
        assert getattr(limits, name) == expected
    assert limits.retention is Retention.DAY


def test_what_is_not_given_is_no_limit() -> None:
    assert limits_of({}, "limits") == Limits()
    assert limits_of({"zones": None, "retention": 0}, "limits") == Limits(
        retention=Retention.NOTHING
    )


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"zone": ["sg"]}, r"^swatow\.zone: no such limit$"),
        ({"zones": "sg"}, r"^swatow: .*zones"),
        ({"zones": ["SG"]}, r"^swatow: .*zones\["),
        ({"zones": ["sg"] * 65}, r"^swatow: .*zones"),
        ({"jurisdictions": ["cn-gd"]}, r"^swatow: .*jurisdictions"),
        ({"round_trip_ms": -1}, r"^swatow: .*round_trip_ms"),
        ({"round_trip_ms": "80"}, r"^swatow: .*round_trip_ms"),
        ({"retention": 4}, r"^swatow: .*retention"),
        ({"tokens_per_second": 0}, r"^swatow: .*tokens_per_second"),
        ({"reputation": 1_001}, r"^swatow: .*reputation"),
    ],
)
def test_a_limit_that_cannot_be_is_named(named: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        limits_of(named, "swatow")


def parse(*words: str) -> LimitFlags:
    """Read options of a command as the command line does."""
    app = cyclopts.App()
    found: list[LimitFlags] = []

    @app.default
    def command(*, limits: LimitFlags | None = None) -> None:
        found.append(limits or LimitFlags())

    app(list(words), exit_on_error=False, print_error=False, result_action="return_value")
    return found[0]


def test_limits_are_options_of_a_command() -> None:
    flags = parse(
        *("--origin", "sg", "--zones", "cn-gd", "sg", "--vendors-refused", "nvidia"),
        *("--retention", "0", "--carbon-mg-per-lot", "200", "--round-trip-ms", "80"),
    )
    assert flags.limits() == Limits(
        origin="sg",
        zones=("cn-gd", "sg"),
        vendors_refused=("nvidia",),
        retention=Retention.NOTHING,
        carbon_mg_per_lot=200,
        round_trip_ms=80,
    )


def test_no_options_are_no_limits() -> None:
    assert parse().limits() == LimitFlags().limits() == Limits()


def test_an_option_outside_its_bounds_is_named() -> None:
    with pytest.raises(InvalidValue, match=r"^limits: .*zones"):
        parse("--zones", "Shantou").limits()


def test_every_option_is_a_limit_of_an_order() -> None:
    assert set(LimitFlags.__dataclass_fields__) <= set(Limits.__struct_fields__)
