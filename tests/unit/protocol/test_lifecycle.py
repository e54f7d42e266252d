"""The table of a job's life: complete, without dead ends, and the only way to change a state."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol.errors import FrameRefused
from swatow_protocol.lifecycle import FINAL, TRANSITIONS, JobEvent, JobState, advance, diagram

ALL = {
    (state, event, after)
    for state, events in TRANSITIONS.items()
    for event, after in events.items()
}


def reachable(start: JobState) -> set[JobState]:
    seen, found = {start}, [start]
    while found:
        for after in set(TRANSITIONS[found.pop()].values()) - seen:
            seen.add(after)
            found.append(after)
    return seen


def test_the_table_has_a_row_for_every_state_and_names_every_event() -> None:
    assert set(TRANSITIONS) == set(JobState)
    assert {event for _, event, _ in ALL} == set(JobEvent)


def test_final_states_are_exactly_those_without_a_way_out() -> None:
    assert {state for state, events in TRANSITIONS.items() if not events} == FINAL


def test_every_state_is_reached_from_the_opening() -> None:
    assert reachable(JobState.OPENING) == set(JobState)


@pytest.mark.parametrize("state", sorted(set(JobState) - FINAL))
def test_a_job_that_is_not_over_can_break_and_can_end_well(state: JobState) -> None:
    assert advance(state, JobEvent.BREAK) is JobState.BROKEN
    assert reachable(state) & (FINAL - {JobState.BROKEN})


@pytest.mark.parametrize(("state", "event"), list(itertools.product(JobState, JobEvent)))
def test_advance_is_the_table_and_refuses_everything_else(state: JobState, event: JobEvent) -> None:
    after = TRANSITIONS[state].get(event)
    if after is not None:
        assert advance(state, event) is after
    else:
        with pytest.raises(FrameRefused, match=f"{state}.*{event}"):
            advance(state, event)


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ("accept chunk voucher chunk close voucher countersign", JobState.CLOSED),
        ("accept chunk pause voucher chunk close countersign", JobState.CLOSED),
        ("accept voucher chunk close countersign", JobState.CLOSED),
        ("accept close countersign", JobState.CLOSED),
        ("accept chunk pause close voucher", JobState.CLOSING),
        ("refuse", JobState.REFUSED),
        ("accept chunk close break", JobState.BROKEN),
    ],
    ids=[
        "the last voucher comes after the receipt",
        "paused and paid",
        "a prompt that is due first",
        "nothing was made",
        "closed for want of a voucher that comes too late",
        "refused",
        "the buyer leaves without signing the receipt",
    ],
)
def test_the_lives_that_the_protocol_describes(events: str, end: JobState) -> None:
    """Written out, because a table that lost a row would still agree with itself."""
    state = JobState.OPENING
    for event in events.split():
        state = advance(state, JobEvent(event))
    assert state is end


def test_nothing_is_sent_while_a_job_is_paused() -> None:
    assert JobEvent.CHUNK not in TRANSITIONS[JobState.PAUSED]
    assert advance(JobState.PAUSED, JobEvent.VOUCHER) is JobState.RUNNING


@given(st.lists(st.sampled_from(JobEvent), max_size=30))
def test_a_job_closes_only_if_it_was_accepted_and_got_a_receipt(events: list[JobEvent]) -> None:
    state, happened = JobState.OPENING, []
    for event in events:
        try:
            state = advance(state, event)
        except FrameRefused:
            continue
        happened.append(event)
    if state is JobState.CLOSED:
        assert happened[0] is JobEvent.ACCEPT
        assert happened[-1] is JobEvent.COUNTERSIGN
        assert happened.count(JobEvent.CLOSE) == 1
    if state is JobState.REFUSED:
        assert happened == [JobEvent.REFUSE]


def test_the_diagram_shows_the_tables_transitions_and_no_others() -> None:
    title, *lines = diagram().splitlines()
    assert title == "stateDiagram-v2"
    shown, starts, ends = set(), set(), set()
    for line in lines:
        if arrow := re.fullmatch(r"    (\w+) --> (\w+): (\w+)", line):
            shown.add((JobState(arrow[1]), JobEvent(arrow[3]), JobState(arrow[2])))
        elif start := re.fullmatch(r"    \[\*\] --> (\w+)", line):
            starts.add(JobState(start[1]))
        else:
            end = re.fullmatch(r"    (\w+) --> \[\*\]", line)
            assert end is not None, line
            ends.add(JobState(end[1]))
    assert shown == ALL
    assert starts == {JobState.OPENING}
    assert ends == FINAL
    assert len(lines) == len(ALL) + 1 + len(FINAL), "each of them once"
