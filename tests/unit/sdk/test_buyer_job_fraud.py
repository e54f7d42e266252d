"""A job at the buyer, with a node that cheats: it is found out, and paid at most what arrived."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from swatow.errors import NodeCheated
from swatow_protocol import limits
from swatow_protocol.envelope import sign
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import Accepted, FinishReason, Frame, FrameKind, Usage
from tests.support.samples import BUYER, NODE, NOW_US, STRANGER, digest
from tests.unit.sdk.pair import PROMPT_MOST, CharTokenizer, Pair, held_award, kinds, promised

RIGHT = Usage(prompt_tokens=40, output_tokens=2)


def running(**arguments: Any) -> Pair:
    """Return a job that has received, and signed for, a prompt of 40 and one token."""
    pair = Pair(**arguments)
    pair.accepted(40)
    assert promised(pair.send()) == [11]
    return pair


def caught(pair: Pair, frame: Frame) -> NodeCheated:
    """Let a frame arrive; it must be found out, end the job, and cost nothing more."""
    signed = pair.held.meter.signed
    with pytest.raises(NodeCheated) as error:
        pair.give(frame)
    assert pair.state() is JobState.BROKEN
    assert pair.held.meter.signed == signed
    assert pair.job.countersignature is None
    assert error.value.node == NODE.key
    assert error.value.paid is not None
    assert error.value.paid.standard_tokens == signed
    return error.value


def test_what_was_paid_for_and_what_arrived_is_told() -> None:
    error = caught(running(), Frame(job=1, kind=FrameKind.CHUNK, body=b"not sealed"))
    assert error.paid is not None
    assert (error.paid.received_tokens, error.text) == (1, "word ")
    assert "does not open" in str(error)


@given(position=st.integers(0), bit=st.integers(0, 7))
def test_any_altered_bit_of_a_chunk_is_found_out(position: int, bit: int) -> None:
    pair = running()
    frame = pair.chunk()
    altered = bytearray(frame.body)
    altered[position % len(altered)] ^= 1 << bit
    caught(pair, replace(frame, body=bytes(altered)))


def test_a_chunk_twice_is_found_out() -> None:
    pair = running()
    frame = pair.chunk()
    pair.give(frame)
    caught(pair, frame)


def test_chunks_out_of_order_are_found_out() -> None:
    pair = running()
    pair.chunk()
    caught(pair, pair.chunk())


def test_a_chunk_that_was_left_out_is_found_out_although_it_is_sealed_in_turn() -> None:
    """The node itself skips one: seals and positions fit, but not its own transcript."""
    pair = running()
    pair.transcript.extend(position=1, tokens=0, token_ids=(), events=())
    caught(pair, pair.chunk("", tokens=0, position=1))


def test_a_wrong_transcript_is_found_out() -> None:
    pair = running()
    caught(pair, pair.chunk(transcript=digest("another transcript")))


@pytest.mark.parametrize("position", [0, 2, 100])
def test_a_wrong_position_is_found_out(position: int) -> None:
    pair = running()
    caught(pair, pair.chunk(position=position))


@pytest.mark.parametrize("ids", [(1,), (1, 2, 3)])
def test_more_or_fewer_ids_than_tokens_are_found_out(ids: tuple[int, ...]) -> None:
    pair = running()
    caught(pair, pair.chunk(tokens=2, token_ids=ids))


def test_a_chunk_before_the_acceptance_is_found_out() -> None:
    pair = Pair()
    caught(pair, pair.chunk())


def test_a_second_acceptance_is_found_out() -> None:
    pair = running()
    body = Accepted(prompt_tokens=0, cached_tokens=0, prompt_due=False, voucher=None)
    caught(pair, pair.forge(FrameKind.ACCEPTED, body))


@pytest.mark.parametrize(
    "kind",
    [each for each in FrameKind if each.name not in {"ACCEPTED", "REFUSED", "CHUNK", "CLOSE"}],
)
def test_a_frame_that_only_a_buyer_sends_is_found_out(kind: FrameKind) -> None:
    caught(running(), Frame(job=1, kind=kind, body=b""))


def test_a_refusal_after_the_acceptance_is_found_out() -> None:
    caught(running(), Frame(job=1, kind=FrameKind.REFUSED, body=b"\xc1"))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt_tokens": PROMPT_MOST + 1},
        {"prompt_tokens": 40, "cached_tokens": 41},
        {"prompt_tokens": None, "cached_tokens": 1},
    ],
)
def test_a_prompt_that_cannot_be_is_found_out(changes: dict[str, Any]) -> None:
    fields = {"cached_tokens": 0, "prompt_due": True, "voucher": None, **changes}
    pair = Pair()
    caught(pair, pair.forge(FrameKind.ACCEPTED, Accepted(**fields)))


def test_a_prompt_as_large_as_it_can_be_is_taken() -> None:
    pair = Pair()
    assert promised(pair.accepted(PROMPT_MOST, prompt_due=True)) == [PROMPT_MOST // 4]


EVENTS: dict[str, bytes] = {
    "no JSON": b"words",
    "empty": b"",
    "a list": b"[]",
    "a number": b"5",
    "not UTF-8": b'{"a":"\xff"}',
    "nested too deep": b'{"a":' + b"[" * 20_000,
}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_that_is_no_json_object_is_found_out(name: str) -> None:
    """It is the node's fault, so it must not end the reader of all the other jobs."""
    pair = running()
    caught(pair, pair.chunk(events=(EVENTS[name],)))


ODD_EVENTS: dict[str, bytes] = {
    "nothing in it": b"{}",
    "choices that are a number": b'{"choices":5}',
    "choices of numbers": b'{"choices":[5]}',
    "a delta that is a list": b'{"choices":[{"delta":[1]}]}',
    "text that is a number": b'{"choices":[{"text":5}]}',
    "tool calls that are a number": b'{"choices":[{"delta":{"tool_calls":5}}]}',
    "a tool call that is a word": b'{"choices":[{"delta":{"tool_calls":["f"]}}]}',
    "a function that is a word": b'{"choices":[{"delta":{"tool_calls":[{"function":"f"}]}}]}',
}


@pytest.mark.parametrize("name", ODD_EVENTS)
def test_an_event_in_no_shape_of_the_openai_api_holds_no_words(name: str) -> None:
    """An engine may send what we do not know. It is passed on, and not one token is paid for it."""
    pair = running()
    events, _ = pair.give(pair.chunk(tokens=100, events=(ODD_EVENTS[name],)))
    assert events == [json.loads(ODD_EVENTS[name])]
    assert pair.job.recount.text == "word "
    assert pair.job.usage.output_tokens == len("word ") + 1
    assert pair.state() is JobState.RUNNING


WRONG_RECEIPTS: dict[str, dict[str, Any]] = {
    "another job": {"job": digest("other job")},
    "another award": {"award": digest("other award")},
    "another model": {"model": digest("other model")},
    "another buyer": {"buyer": STRANGER.key},
    "another network": {"network": "other"},
    "another currency": {"currency": "CNY"},
    "a higher price": {"price": 82_001},
    "a lower price": {"price": 81_999},
    "more standard tokens": {"standard_tokens": 13},
    "fewer standard tokens": {"standard_tokens": 11},
    "a higher cost": {"cost": 985},
    "a lower cost": {"cost": 983},
    "a chunk more": {"chunks": 3},
    "a chunk less": {"chunks": 1},
    "another transcript": {"transcript": digest("other transcript")},
    "more for the award than it holds": {"award_standard_tokens": 5_001},
    "less for the award than for the job": {"award_standard_tokens": 11},
    "another carbon intensity than offered": {"carbon_mg_per_lot": 1},
    "no carbon intensity although one was offered": {"carbon_mg_per_lot": None},
    "an end before its start": {"closed_us": NOW_US - 1},
    "a cache larger than the prompt": {
        "usage": Usage(prompt_tokens=40, cached_tokens=41, output_tokens=2)
    },
}


@pytest.mark.parametrize("name", WRONG_RECEIPTS)
def test_a_receipt_that_does_not_describe_the_job_is_found_out(name: str) -> None:
    pair = running()
    pair.send()
    honest = pair.receipt(RIGHT)
    assert (honest.standard_tokens, honest.cost, honest.chunks) == (12, 984, 2)
    caught(pair, pair.close(replace(honest, **WRONG_RECEIPTS[name])))


def test_a_receipt_for_another_end_than_the_close_says_is_found_out() -> None:
    pair = running()
    pair.send()
    caught(pair, pair.close(pair.receipt(RIGHT), reason=FinishReason.LENGTH))


def test_a_receipt_of_somebody_else_is_found_out() -> None:
    pair = running()
    pair.send()
    caught(pair, pair.close(pair.receipt(RIGHT), signer=STRANGER))


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_a_forged_receipt_is_found_out(part: str) -> None:
    pair = running()
    pair.send()
    envelope = bytearray(sign(pair.receipt(RIGHT), NODE).envelope)
    envelope[-1 if part == "signature" else 40] ^= 1
    caught(pair, pair.close_with(bytes(envelope)))


def test_a_receipt_that_the_buyer_itself_has_signed_is_found_out() -> None:
    pair = running()
    pair.send()
    by_buyer = sign(replace(pair.receipt(RIGHT), sender=BUYER.key), BUYER)
    caught(pair, pair.close_with(by_buyer.envelope))


def test_more_output_at_the_end_than_arrived_is_paid_as_it_arrived_and_not_countersigned() -> None:
    pair = running()
    pair.send()
    frames = pair.end(Usage(prompt_tokens=40, output_tokens=200))
    assert kinds(frames) == [FrameKind.VOUCHER]
    assert pair.job.usage == Usage(prompt_tokens=40, output_tokens=len("word word ") + 1)
    assert promised(frames) == [10 + 11]
    assert pair.state() is JobState.BROKEN
    assert pair.job.receipt is not None, "it is kept, as evidence"
    assert pair.job.countersignature is None
    assert pair.job.failure() is None, "the answer itself has come to its end"


def test_with_the_models_tokenizer_not_one_token_more_is_paid() -> None:
    pair = Pair(tokenizer=CharTokenizer())
    pair.accepted(0)
    pair.send("abc", tokens=3)
    frames = pair.end(Usage(output_tokens=5))
    assert promised(frames) == [4], "three characters, and the token that ends the answer"
    assert pair.state() is JobState.BROKEN


def test_tokens_that_leave_no_text_are_not_signed_for() -> None:
    pair = Pair(output_tokens_max=6 * limits.TOKENS_PER_CHUNK_MAX)
    pair.accepted(0)
    assert promised(pair.send("", tokens=limits.TOKENS_PER_CHUNK_MAX)) == [1]
    for _ in range(5):
        assert promised(pair.send("", tokens=limits.TOKENS_PER_CHUNK_MAX)) == []
    assert pair.job.usage.output_tokens == 1


def test_ids_that_do_not_give_the_text_are_found_out_at_the_end() -> None:
    pair = Pair(tokenizer=CharTokenizer())
    pair.accepted(0)
    pair.send("ab", tokens=3, token_ids=tuple(map(ord, "xyz")))
    caught(pair, pair.close(pair.receipt(Usage(output_tokens=3))))


@pytest.mark.parametrize("prompt", [PROMPT_MOST + 1, 10**6])
def test_more_prompt_at_the_end_than_can_be_is_found_out(prompt: int) -> None:
    pair = running()
    usage = Usage(prompt_tokens=prompt, output_tokens=1)
    caught(pair, pair.close(pair.receipt(usage)))


def test_more_prompt_at_the_end_than_was_said_at_the_start_is_not_paid() -> None:
    """The node never charges for more than it has said when it accepted (NodeJob.close)."""
    pair = running()
    try:
        pair.end(Usage(prompt_tokens=400, output_tokens=1))
    except NodeCheated:
        assert pair.held.meter.signed == 11
    assert pair.held.meter.signed <= 11
    assert pair.job.countersignature is None


def test_no_more_output_is_paid_than_was_asked_for() -> None:
    """The opening says where the node stops; what it sends beyond was not bought."""
    pair = Pair(output_tokens_max=20)
    pair.accepted(0)
    for _ in range(20):
        pair.send()
    error = caught(pair, pair.chunk())
    assert "more than were asked for" in str(error)
    assert pair.held.meter.signed <= 20


def test_no_more_output_is_claimed_at_the_end_than_was_asked_for() -> None:
    """Although what arrived is long enough for more tokens."""
    pair = Pair(output_tokens_max=2)
    pair.accepted(40)
    pair.send(tokens=2)
    caught(pair, pair.close(pair.receipt(Usage(prompt_tokens=40, output_tokens=3))))


def test_a_last_job_larger_than_its_award_is_paid_as_far_as_the_award_goes() -> None:
    pair = Pair(held_award(lots=1), output_tokens_max=1_100)
    pair.accepted(0)
    pair.send("x" * 1_100, tokens=1_100)
    pair.end(Usage(output_tokens=1_100), award_standard_tokens=1_000)
    assert pair.state() is JobState.CLOSED
    assert pair.held.meter.signed == 1_000


def test_an_honest_answer_of_two_choices_is_countersigned() -> None:
    """Each choice ends with a token of its own that leaves no text."""
    pair = Pair(tokenizer=CharTokenizer(), choices=2)
    pair.accepted(0)
    for index, text in ((0, "ab"), (1, "cd")):
        choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
        body = json.dumps({"choices": [choice]}).encode()
        pair.send(tokens=2, token_ids=tuple(map(ord, text)), events=(body,))
    for index in (0, 1):
        choice = {"index": index, "delta": {}, "finish_reason": "stop"}
        pair.send(tokens=1, token_ids=(0,), events=(json.dumps({"choices": [choice]}).encode(),))
    frames = pair.end(Usage(output_tokens=6))
    assert promised(frames)[-1:] == [6]
    assert pair.state() is JobState.CLOSED


TOOL_CALL = {"index": 0, "function": {"name": "time", "arguments": '{"in":"sg"}'}}


@pytest.mark.parametrize("tokens_with_it", [0, 29])
def test_ids_prove_nothing_against_a_call_of_a_tool(tokens_with_it: int) -> None:
    """The engine reads it out of what the model wrote, marks and names of fields and all."""
    wrote = '<call>{"name":"time","arguments":{"in":"sg"}}'
    pair = Pair(tokenizer=CharTokenizer())
    pair.accepted(0)
    ids = tuple(map(ord, wrote))
    split = len(ids) - tokens_with_it
    pair.send("", tokens=split, token_ids=ids[:split])
    body = json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [TOOL_CALL]}}]}).encode()
    pair.send(tokens=tokens_with_it, token_ids=ids[split:], events=(body,))
    assert pair.job.recount.text == 'time{"in":"sg"}'
    pair.end(Usage(output_tokens=len(wrote)))
    assert pair.job.usage.output_tokens == len(wrote), "its marks are allowed for"
    assert pair.state() is JobState.CLOSED
