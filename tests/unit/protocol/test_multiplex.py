"""The outbox of a stream: everything once, in order, in turn, and made only when it can leave."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_protocol import codec, limits
from swatow_protocol.carriers.grpc._generated.exchange_pb2 import Frames
from swatow_protocol.errors import FrameRefused
from swatow_protocol.messages import Frame, FrameKind
from swatow_protocol.multiplex import OUTBOX_BYTES_MAX, Outbox

CONTROL_JOB = 0
NEARLY_FULL = bytes(limits.FRAMES_BYTES - 100)
LARGEST_BODY = bytes(limits.JOB_OPEN_BYTES_MAX + 2 * limits.ENVELOPE_BYTES_MAX)


def frame(job: int, body: bytes = b"") -> Frame:
    return Frame(job=job, kind=FrameKind.CHUNK, body=body)


class Job:
    """A job whose chunks wait until it is asked; tokens that wait together leave together."""

    def __init__(self, number: int, bodies: list[bytes] | None = None) -> None:
        self.number = number
        self.waiting = deque(bodies or [])
        self.asked = 0

    def take(self) -> Frame | None:
        self.asked += 1
        return frame(self.number, self.waiting.popleft()) if self.waiting else None


def sent(message: list[bytes]) -> list[tuple[int, bytes]]:
    """Return (job, body) of the frames of a message."""
    frames = [codec.decode(Frame, encoded) for encoded in message]
    return [(each.job, each.body) for each in frames]


def jobs_of(message: list[bytes]) -> list[int]:
    return [job for job, _ in sent(message)]


def test_an_empty_outbox_has_nothing_to_write() -> None:
    outbox = Outbox()
    assert not outbox
    assert outbox.take() == []


def test_frames_that_exist_leave_together_in_order() -> None:
    outbox = Outbox()
    for number in range(5):
        outbox.push(frame(number))
    assert outbox
    assert jobs_of(outbox.take()) == [0, 1, 2, 3, 4]
    assert not outbox


def test_frames_that_exist_go_before_those_still_to_be_made() -> None:
    outbox = Outbox()
    outbox.ready(Job(1, [b"a"]))
    outbox.push(frame(CONTROL_JOB))
    assert jobs_of(outbox.take()) == [CONTROL_JOB, 1]


def test_a_job_is_asked_only_when_the_message_is_made() -> None:
    """So what it gathers until then goes into one chunk: coalescing without a timer."""
    outbox, job = Outbox(), Job(1)
    outbox.ready(job)
    assert job.asked == 0
    job.waiting.append(b"what came in the meantime")
    assert sent(outbox.take()) == [(1, b"what came in the meantime")]


def test_a_job_with_nothing_to_say_is_not_asked_again_until_it_is_ready() -> None:
    outbox, job = Outbox(), Job(1)
    outbox.ready(job)
    assert outbox.take() == []
    assert outbox.take() == []
    assert job.asked == 1
    assert not outbox
    job.waiting.append(b"more")
    outbox.ready(job)
    assert sent(outbox.take()) == [(1, b"more")]


def test_ready_twice_is_ready_once() -> None:
    outbox, once, twice = Outbox(), Job(1, [b"a", b"b"]), Job(2, [b"c", b"d"])
    for job in (twice, once, twice, twice):
        outbox.ready(job)
    assert jobs_of(outbox.take()) == [2, 1, 2, 1]


def test_a_dropped_job_is_never_asked() -> None:
    outbox, job = Outbox(), Job(1, [b"a"])
    outbox.ready(job)
    outbox.drop(job)
    outbox.drop(job)  # and dropping what is not there is nothing
    assert outbox.take() == []
    assert job.asked == 0


@given(st.integers(2, 6), st.integers(20_000, 120_000))
def test_jobs_take_turns_across_messages(count: int, size: int) -> None:
    """No job with much to say keeps another one waiting for more than its turn."""
    outbox = Outbox()
    made = [Job(number, [bytes(size)] * 20) for number in range(count)]
    for job in made:
        outbox.ready(job)
    for _ in range(4):
        outbox.take()
        left = [len(job.waiting) for job in made]
        assert max(left) - min(left) <= 1


def test_a_message_stops_near_its_size() -> None:
    outbox = Outbox()
    body = bytes(1_000)
    for _ in range(1_000):
        outbox.push(frame(1, body))
    sizes = []
    while message := outbox.take():
        sizes.append(sum(map(len, message)))
    assert all(limits.FRAMES_BYTES <= size < limits.FRAMES_BYTES + 1_100 for size in sizes[:-1])
    assert sum(sizes) == 1_000 * len(codec.encode(frame(1, body)))


def test_a_message_holds_no_more_frames_than_the_peer_takes() -> None:
    outbox = Outbox()
    total = limits.FRAMES_PER_MESSAGE_MAX + 5
    for number in range(total):
        outbox.push(frame(number))
    assert len(outbox.take()) == limits.FRAMES_PER_MESSAGE_MAX
    assert jobs_of(outbox.take()) == list(range(total - 5, total))


def test_a_frame_that_does_not_fit_behind_others_opens_the_next_message() -> None:
    outbox = Outbox()
    outbox.push(frame(1, NEARLY_FULL))
    outbox.push(frame(2, LARGEST_BODY))
    outbox.push(frame(3))
    assert jobs_of(outbox.take()) == [1]
    assert sent(outbox.take()) == [(2, LARGEST_BODY)]
    assert jobs_of(outbox.take()) == [3]


def test_a_frame_that_was_made_and_did_not_fit_keeps_its_place() -> None:
    """Before what is pushed in the meantime: the job has numbered it already."""
    outbox, job = Outbox(), Job(2, [LARGEST_BODY, b"next"])
    outbox.push(frame(1, NEARLY_FULL))
    outbox.ready(job)
    assert jobs_of(outbox.take()) == [1]
    assert outbox
    outbox.push(frame(3))
    assert sent(outbox.take()) == [(2, LARGEST_BODY)]
    assert jobs_of(outbox.take()) == [3, 2]


sizes = st.one_of(
    st.integers(0, 300),
    st.integers(0, len(LARGEST_BODY)),
    st.just(len(LARGEST_BODY)),
)
steps = st.lists(st.tuples(st.sampled_from(["push", "ready", "take"]), sizes), max_size=12)


@given(steps)
def test_every_frame_leaves_once_in_its_jobs_order_within_one_grpc_message(
    script: list[tuple[str, int]],
) -> None:
    """Frames of all sizes that the protocol has, pushed or made on demand in any order."""
    outbox = Outbox()
    made = {1: Job(1), 2: Job(2)}
    expected: dict[int, list[bytes]] = {CONTROL_JOB: [], 1: [], 2: []}
    arrived: dict[int, list[bytes]] = {CONTROL_JOB: [], 1: [], 2: []}

    def take() -> bool:
        message = outbox.take()
        assert Frames(frame=message).ByteSize() <= limits.FRAME_BYTES_MAX
        for job, body in sent(message):
            arrived[job].append(body)
        return bool(message)

    for number, (step, size) in enumerate(script):
        body = number.to_bytes(4, "little") + bytes(size)
        if step == "push":
            expected[CONTROL_JOB].append(body)
            outbox.push(frame(CONTROL_JOB, body))
        elif step == "ready":
            job = made[1 + number % 2]
            expected[job.number].append(body)
            job.waiting.append(body)
            outbox.ready(job)
        else:
            take()
    while take():
        pass
    assert arrived == expected
    assert not outbox


def test_a_peer_that_does_not_read_is_refused_at_the_bound() -> None:
    outbox = Outbox()
    body = bytes(limits.FRAME_BYTES_MAX // 2)
    size = len(codec.encode(frame(1, body)))
    fitting = OUTBOX_BYTES_MAX // size
    for number in range(fitting):
        outbox.push(frame(number, body))
    with pytest.raises(FrameRefused):
        outbox.push(frame(fitting, body))
    assert jobs_of(outbox.take()) == [0], "what was taken on is still sent, in order"
    outbox.push(frame(fitting, body))
    rest = []
    while message := outbox.take():
        rest += jobs_of(message)
    assert rest == list(range(1, fitting + 1))


def test_the_bound_is_on_what_waits_and_not_on_what_has_passed() -> None:
    outbox = Outbox()
    body = bytes(limits.FRAME_BYTES_MAX // 2)
    for number in range(4 * OUTBOX_BYTES_MAX // len(body)):
        outbox.push(frame(number, body))
        assert jobs_of(outbox.take()) == [number]
