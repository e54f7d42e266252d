"""The end of a stream: no word is lost, and the last event has the cost, exactly."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow._answers import JobReceipt, receipt_of
from swatow.gateway.events import DONE, Tail, cost_fields, encode, sse
from swatow_protocol.messages import Usage
from tests.unit.sdk.pair import Pair


def receipt(cost: int = 984) -> JobReceipt:
    """Return the receipt of a job of 40 prompt tokens and 2 output tokens."""
    pair = Pair()
    pair.accepted(40)
    pair.send("one ")
    pair.send("two ")
    pair.end(Usage(prompt_tokens=40, output_tokens=2))
    found = receipt_of(pair.job, "small-model-q4")
    assert found is not None
    fields = found.as_dict()
    return JobReceipt(**{**fields, "cost": cost})


def part(text: str = "", index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "choices": [choice], **more}


USAGE = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}
END = {"id": "chatcmpl-1", "choices": [], "usage": USAGE}


def through(
    events: list[dict[str, Any]], *, include_usage: bool, of: JobReceipt | None
) -> list[dict[str, Any]]:
    tail = Tail(include_usage=include_usage)
    sent = [ready for event in events for ready in tail.pass_on(event)]
    return [*sent, *tail.finish(of)]


def texts(events: list[dict[str, Any]]) -> str:
    return "".join(c["delta"].get("content") or "" for e in events for c in e["choices"])


def test_the_event_that_ends_the_answer_has_the_cost() -> None:
    events = [part("one "), part("two"), part(finish="stop"), END]
    sent = through(events, include_usage=False, of=receipt())
    assert sent[:2] == events[:2]
    assert sent[2]["choices"] == events[2]["choices"]
    assert sent[2]["usage"] == {**USAGE, "cost": Decimal("0.000000984")}
    assert sent[2]["swatow"]["cost"] == 984
    assert len(sent) == 3, "nobody asked for an event of its own that reports usage"


def test_the_usage_event_has_the_cost_where_the_client_asked_for_one() -> None:
    events = [part("one "), part(finish="stop"), END]
    sent = through(events, include_usage=True, of=receipt())
    assert sent[:2] == events[:2]
    assert sent[2]["choices"] == []
    assert sent[2]["usage"]["cost"] == Decimal("0.000000984")
    assert sent[2]["swatow"]["award"]


def test_usage_is_made_from_the_receipt_where_the_engine_gives_none() -> None:
    for include_usage in (True, False):
        sent = through([part("a"), part(finish="stop")], include_usage=include_usage, of=receipt())
        assert sent[-1]["usage"] == {**USAGE, "cost": Decimal("0.000000984")}


def test_an_answer_that_never_says_that_it_ends_still_tells_its_cost() -> None:
    """As when the award was spent in the middle of a sentence."""
    sent = through([part("one "), part("two")], include_usage=False, of=receipt())
    assert texts(sent) == "one two"
    assert sent[-1]["usage"]["cost"] == Decimal("0.000000984")


def test_without_a_receipt_the_answer_is_passed_on_as_it_is() -> None:
    events = [part("one "), part(finish="stop"), END]
    assert through(events, include_usage=True, of=None) == events
    assert texts(through(events, include_usage=False, of=None)) == "one "


def test_the_ends_of_several_choices_are_all_passed_on() -> None:
    events = [part("a"), part("b", 1), part(finish="stop"), part(index=1, finish="length"), END]
    for include_usage in (True, False):
        sent = through(events, include_usage=include_usage, of=receipt())
        ends = [c["finish_reason"] for e in sent for c in e["choices"] if c["finish_reason"]]
        assert ends == ["stop", "length"]


def test_usage_beside_the_last_words_keeps_them() -> None:
    """Some servers report usage in the event that ends the choice."""
    events = [part("one "), part("two", finish="stop", usage=USAGE)]
    for include_usage in (True, False):
        sent = through(events, include_usage=include_usage, of=receipt())
        assert texts(sent) == "one two"
        assert sent[-1]["usage"]["cost"] == Decimal("0.000000984")


def test_usage_beside_every_word_loses_none() -> None:
    """As asked for with vLLM's stream_options.continuous_usage_stats, which passes through."""
    events = [part(text, usage=USAGE) for text in ("one ", "two ", "three")]
    events += [part(finish="stop", usage=USAGE), END]
    for include_usage in (True, False):
        sent = through(events, include_usage=include_usage, of=receipt())
        assert texts(sent) == "one two three"


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.integers(0, 2), st.sampled_from([None, None, "stop"])),
        max_size=20,
    ),
    st.booleans(),
    st.booleans(),
)
def test_no_event_is_lost_doubled_or_moved(
    pieces: list[tuple[str, int, str | None]], include_usage: bool, with_usage: bool
) -> None:
    events = [part(*piece) for piece in pieces]
    sent = through(
        [*events, END] if with_usage else events, include_usage=include_usage, of=receipt()
    )
    assert [event["choices"] for event in sent if event["choices"]] == [
        event["choices"] for event in events
    ]
    assert sum("swatow" in event for event in sent) == 1
    assert "swatow" in sent[-1]


@pytest.mark.parametrize(
    ("nanos", "exact"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (984, "0.000000984"),
        (100_000_000, "0.1"),
        (2**63 - 1, "9223372036.854775807"),
    ],
)
def test_the_cost_is_a_json_number_and_exact(nanos: int, exact: str) -> None:
    encoded = encode(cost_fields(receipt(nanos), {"usage": USAGE}))
    read = json.loads(encoded, parse_float=Decimal)
    assert read["usage"]["cost"] == Decimal(exact)
    assert not isinstance(read["usage"]["cost"], str)
    assert read["swatow"]["cost"] == nanos


def test_what_the_engine_reports_of_usage_is_kept() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 1}}
    fields = cost_fields(receipt(), {"usage": {**USAGE, **details, "completion_tokens": 3}})
    assert fields["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}
    assert fields["usage"]["completion_tokens"] == 3


def test_the_answer_that_was_given_is_not_changed() -> None:
    answer = {"usage": dict(USAGE)}
    cost_fields(receipt(), answer)
    assert answer == {"usage": USAGE}
    assert cost_fields(None, answer) == {}


def test_an_event_is_one_line_of_data_and_an_empty_one() -> None:
    framed = sse(part("two\nlines \u2028 and a \x00"))
    assert framed.startswith(b"data: {")
    assert framed.endswith(b"}\n\n")
    assert framed.count(b"\n") == 2
    assert json.loads(framed[6:]) == part("two\nlines \u2028 and a \x00")
    assert DONE == b"data: [DONE]\n\n"


@pytest.mark.parametrize("odd", [{"choices": 5}, {"choices": [5]}, {"usage": 5}, {"usage": "x"}])
@pytest.mark.parametrize("include_usage", [True, False])
def test_an_event_in_no_shape_that_we_know_does_not_end_the_stream(
    odd: dict[str, Any], include_usage: bool
) -> None:
    events = [part("one "), odd, part("two"), part(finish="stop")]
    sent = through(events, include_usage=include_usage, of=receipt())
    ours = [event for event in sent if event is not odd]
    assert texts(ours) == "one two"
    assert ours[-1]["usage"] == {**USAGE, "cost": Decimal("0.000000984")}
