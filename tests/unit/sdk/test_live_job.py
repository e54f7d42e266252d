"""A job under way and the stream that its caller reads, on a line that only keeps what it is sent.

The frames come from `Pair`; what would go to the node is looked at.
"""

import asyncio
from typing import Any

import pytest

from swatow import _nodes
from swatow._answers import Completion
from swatow.errors import (
    InvalidRequest,
    NodeCheated,
    NodeFailed,
    NodeLost,
    NodeRefused,
)
from swatow_protocol import limits
from swatow_protocol.lifecycle import JobState
from swatow_protocol.messages import FinishReason, FrameKind, JobRefusal
from tests.support.samples import NODE, digest
from tests.unit.sdk.live import Live
from tests.unit.sdk.pair import kinds


async def test_an_answer_comes_piece_by_piece_and_ends_with_its_receipt() -> None:
    live = Live()
    live.accept()
    await live.job.opened()
    for text in ("one ", "two "):
        live.give(live.pair.chunk(text))
    live.close(2)
    pieces = [piece async for piece in live.stream]
    assert [piece.text for piece in pieces] == ["one ", "two "]
    assert pieces[0].event["choices"][0]["delta"] == {"content": "one "}
    assert kinds(live.line.sent) == [FrameKind.VOUCHER, FrameKind.VOUCHER, FrameKind.COUNTERSIGN]
    assert live.line.forgotten == [live.job]
    assert live.ended == [live.pair.job]
    receipt = live.stream.receipt
    assert receipt is not None
    assert (receipt.prompt_tokens, receipt.output_tokens, receipt.cost) == (40, 2, 984)
    assert (receipt.countersigned, receipt.recounted) == (True, False)
    assert receipt.cost_text == "0.000000984 USD"
    assert dict(receipt.rows())["signed by"] == "node and buyer"
    assert live.stream.text == "one two "


async def test_a_whole_answer_is_put_together() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.give(live.pair.chunk("two"))
    live.close(2)
    completion = await live.stream.completion()
    assert completion.text == "one two"
    assert completion.receipt.finish_reason == "stop"
    assert repr(completion) == "Completion('one two', 0.000000984 USD)"


@pytest.mark.parametrize(
    "choices", [5, [], [5], [{"message": 5}], [{"message": {"content": None}}]]
)
async def test_a_whole_answer_in_an_odd_shape_has_no_text(choices: Any) -> None:
    live = Live()
    live.accept()
    live.close(0)
    receipt = (await live.stream.completion()).receipt
    assert Completion({"choices": choices}, receipt).text == ""


async def test_an_answer_that_the_end_of_its_award_has_cut_is_an_answer() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.close(1, FinishReason.EXPIRED)
    completion = await live.stream.completion()
    assert completion.text == "one "
    assert (completion.receipt.finish_reason, completion.receipt.countersigned) == ("expired", True)


async def test_a_reader_waits_for_what_is_not_there_yet() -> None:
    live = Live()
    live.accept()
    reading = asyncio.create_task(live.stream.completion())
    for text in ("a", "b", "c"):
        await asyncio.wait([reading], timeout=0)
        assert not reading.done()
        live.give(live.pair.chunk(text))
    live.close(3)
    assert (await reading).text == "abc"


async def test_there_is_no_receipt_while_the_answer_goes_on() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    assert live.stream.receipt is None
    assert live.stream.text == "one "


async def test_room_is_granted_as_the_caller_reads() -> None:
    live = Live()
    live.accept()
    for _ in range(2):  # a little more than half of the room together
        live.give(live.pair.chunk("x" * (limits.JOB_CREDIT_BYTES // 4)))
    sent = len(live.line.sent)
    pieces = aiter(live.stream)
    await anext(pieces)
    assert len(live.line.sent) == sent
    await anext(pieces)
    assert len(live.line.sent) == sent
    live.give(live.pair.chunk())
    await anext(pieces)
    granted = live.line.sent[sent:]
    assert kinds(granted) == [FrameKind.CREDIT], "more than half of the room was read"
    live.close(3)
    assert [piece async for piece in pieces] == []


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [(JobRefusal.SPENT, NodeRefused), (JobRefusal.BAD_REQUEST, InvalidRequest)],
)
async def test_a_job_that_is_not_taken_on_says_why(
    refusal: JobRefusal, expected: type[Exception]
) -> None:
    live = Live()
    live.refuse(refusal)
    with pytest.raises(expected, match=r"why"):
        await live.job.opened()
    assert live.line.forgotten == [live.job]
    assert live.line.sent == []


async def test_what_arrived_is_given_out_before_the_error_is_raised() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.close(1, FinishReason.ENGINE_ERROR)
    await live.job.opened()
    seen: list[str] = []

    async def read() -> None:
        async for piece in live.stream:
            seen.append(piece.text)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(NodeFailed, match=r"its engine failed: why"):
        await read()
    assert seen == ["one "]
    assert live.ended == [live.pair.job]
    receipt = live.stream.receipt
    assert receipt is not None
    assert receipt.finish_reason == "engine_error"


async def test_a_cheating_node_is_told_to_stop_and_not_signed_for() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    vouchers = len(live.line.sent)
    live.give(live.pair.chunk("two ", transcript=digest("another")))
    with pytest.raises(NodeCheated):
        await live.stream.completion()
    assert kinds(live.line.sent[vouchers:]) == [FrameKind.CANCEL]
    assert live.stream.receipt is None


async def test_a_node_that_goes_away_is_lost_with_what_was_paid() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.job.lost("the cable was cut")
    with pytest.raises(NodeLost, match=r"the cable was cut") as error:
        await live.stream.completion()
    assert error.value.text == "one "
    assert error.value.paid is not None
    assert error.value.paid.standard_tokens == 11
    assert error.value.node == NODE.key


async def test_the_first_thing_that_went_wrong_is_what_is_told() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk(transcript=digest("another")))
    live.job.lost("and then the line broke")
    with pytest.raises(NodeCheated):
        await live.stream.completion()


async def test_a_node_that_says_nothing_has_failed_and_is_told_to_stop() -> None:
    live = Live(silence_s=0.01)
    live.accept()
    with pytest.raises(NodeFailed, match=r"sent nothing for 0\.01 s"):
        await live.stream.completion()
    assert kinds(live.line.sent) == [FrameKind.CANCEL]
    assert live.pair.state() is JobState.BROKEN


async def test_a_node_that_does_not_answer_an_opening_has_failed() -> None:
    live = Live(silence_s=0.01)
    with pytest.raises(NodeFailed):
        await live.job.opened()


async def test_closing_a_stream_stops_the_engine_and_waits_for_the_receipt() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    pieces = aiter(live.stream)
    await anext(pieces)
    closing = asyncio.create_task(live.stream.aclose())
    await asyncio.wait([closing], timeout=0)
    assert kinds(live.line.sent)[-1] is FrameKind.CANCEL
    assert not closing.done(), "the receipt is still to come"
    live.close(1, FinishReason.CANCELLED)
    await closing
    assert live.stream.receipt is not None
    assert live.ended == [live.pair.job]


async def test_closing_twice_stops_once() -> None:
    live = Live()
    live.accept()
    closing = [asyncio.create_task(live.stream.aclose()) for _ in range(2)]
    await asyncio.wait(closing, timeout=0)
    live.close(0, FinishReason.CANCELLED)
    await asyncio.gather(*closing)
    await live.stream.aclose()
    assert kinds(live.line.sent).count(FrameKind.CANCEL) == 1
    assert live.ended == [live.pair.job]


async def test_a_caller_that_is_cancelled_while_closing_leaves_the_rest_to_go_on() -> None:
    live = Live()
    live.accept()
    closing = asyncio.create_task(live.stream.aclose())
    await asyncio.wait([closing], timeout=0)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
    live.close(0, FinishReason.CANCELLED)
    await live.stream.aclose()
    assert live.ended == [live.pair.job]
    assert live.pair.state() is JobState.CLOSED


async def test_a_node_that_does_not_stop_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nodes, "CANCEL_S", 0.01)
    live = Live()
    live.accept()
    await live.stream.aclose()
    assert live.pair.state() is JobState.BROKEN
    assert live.stream.receipt is None
    assert live.ended == [live.pair.job]


async def test_a_stream_ends_as_a_context_does() -> None:
    live = Live()
    live.accept()
    live.give(live.pair.chunk("one "))
    live.close(1)
    async with live.stream as stream:
        pieces: list[Any] = [piece async for piece in stream]
    assert len(pieces) == 1
    assert live.ended == [live.pair.job]
