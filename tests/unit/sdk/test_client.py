"""The client between orders and nodes: busy nodes, new keys, spent awards, and what is given back.

Market and nodes are fakes; the orders, the wallet and the measuring of requests are real.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from swatow._award import Award
from swatow._client import BUSY_TRIES_MAX, AsyncClient
from swatow._nodes import NodeLine, NodeLines
from swatow._recount import TokenizerCache
from swatow._sync import Client
from swatow.errors import (
    InvalidRequest,
    InvalidValue,
    NodeFailed,
    NodeRefused,
    SwatowError,
    TooEarly,
    Unreachable,
)
from swatow_protocol.errors import CallRefused
from swatow_protocol.limits import CLOCK_SKEW_US
from swatow_protocol.messages import JobRefusal, LaterSupply, PriceStep, Usage
from swatow_protocol.shell.clock import now_us
from swatow_protocol.units import format_time
from tests.support import samples
from tests.support.samples import MARKET, NETWORK, NODE, SECOND
from tests.unit.sdk.market import FakeMarket, Grant, reconnect, wallet_in

HELLO = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
FAR_US = 9 * 10**15
"""The client reads the clock of this machine, so awards here end long after it."""


def refused(refusal: JobRefusal) -> NodeRefused:
    return NodeRefused(NODE.key, refusal, "why", 1)


@dataclass
class FakeNodes:
    """Lines to nodes on which jobs open, or fail, as `outcomes` say; then they open."""

    outcomes: list[SwatowError | None] = field(default_factory=list)
    unreachable: SwatowError | None = None
    lines: list["FakeLine"] = field(default_factory=list)
    """The last is the one in use."""
    opened: list[dict[str, Any]] = field(default_factory=list)
    released: list[bytes] = field(default_factory=list)
    tokenizers_asked: int = 0
    breaks_while_asked: bool = False
    """The line breaks while it is asked for a tokenizer."""
    closed: bool = False

    async def line(self, _award: Any, _offer: Any, *, stale: Any = None) -> "FakeLine":
        """Return the line, a new one in the place of a stale or broken one."""
        if self.unreachable is not None:
            raise self.unreachable
        if not self.lines or self.lines[-1] is stale or self.lines[-1].broken:
            self.lines.append(FakeLine(self))
        return self.lines[-1]

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class FakeLine:
    """One line; what happens on it is noted with all the nodes."""

    def __init__(self, nodes: FakeNodes) -> None:
        self._nodes = nodes
        self.broken = self.closed = False
        self.idle = True

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    @property
    def client(self) -> "FakeLine":
        """Return what answers the calls of a line."""
        return self

    async def tokenizer(self, _digest: bytes) -> bytes:
        """Have none."""
        self._nodes.tokenizers_asked += 1
        self.broken = self._nodes.breaks_while_asked
        raise CallRefused("no such tokenizer")

    def open(self, **arguments: Any) -> "FakeLive":
        """Open a job, or not."""
        assert not self.broken, "nobody would ever be told of this job"
        self._nodes.opened.append(arguments)
        return FakeLive(self._nodes.outcomes.pop(0) if self._nodes.outcomes else None)

    def release(self, award: Any) -> None:
        """Note that an award was given back."""
        self._nodes.released.append(award.id)


@dataclass
class FakeLive:
    """A job that has opened or not."""

    outcome: SwatowError | None
    barrier: asyncio.Barrier | None = None

    async def opened(self) -> None:
        """Open, or not."""
        if self.barrier is not None:
            await self.barrier.wait()
        if self.outcome is not None:
            raise self.outcome


class Buyer:
    """A client with its fakes."""

    def __init__(self, directory: Path, *outcomes: SwatowError | None, **settings: Any) -> None:
        wallet = wallet_in(directory)
        self.client = AsyncClient(
            market=f"{MARKET.key.hex()}@127.0.0.1:1",
            directory=directory,
            max_price="0.10",
            network=NETWORK,
            **settings,
        )
        self.market = FakeMarket(wallet)
        self.market.grants = [Grant([{"expires_us": FAR_US, "settle_by_us": FAR_US}])] * 9
        reconnect(self.client._market, self.market)
        self.nodes = FakeNodes(list(outcomes))
        self.client._nodes = cast("NodeLines", self.nodes)

    async def run(self, **changes: Any) -> None:
        """Run a request until it has opened."""
        await self.client.run({**HELLO, **changes}, model="small-model-q4")

    def reserved(self) -> list[tuple[int, int]]:
        """Return what is set aside, and for how many jobs, on each award that is held."""
        return [(award.reserved, award.jobs) for award in self.client._orders.held]


async def test_a_job_opens_with_what_was_measured(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    await buyer.run()
    (opened,) = buyer.nodes.opened
    assert opened["output_tokens_max"] == 100
    assert opened["silence_s"] == 60
    assert b'"model":"small-model-q4"' in opened["request"]
    assert buyer.reserved() == [(100 + -(-len(opened["request"]) // 4), 1)]


async def test_a_busy_node_is_asked_again_as_often_as_it_says(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path, *[refused(JobRefusal.BUSY)] * (BUSY_TRIES_MAX - 1))
    await buyer.run()
    assert len(buyer.nodes.opened) == BUSY_TRIES_MAX
    assert len(buyer.nodes.lines) == 1


async def test_a_node_whose_clock_is_behind_is_asked_again_when_the_award_begins_there(
    tmp_path: Path,
) -> None:
    buyer = Buyer(tmp_path, refused(JobRefusal.NOT_YET), refused(JobRefusal.NOT_YET))
    await buyer.run()
    assert len(buyer.nodes.opened) == 3
    assert buyer.reserved()[0][1] == 1


async def test_a_node_for_which_the_award_begins_much_later_is_not_waited_for(
    tmp_path: Path,
) -> None:
    late = NodeRefused(NODE.key, JobRefusal.NOT_YET, "why", CLOCK_SKEW_US // 1_000 + 1)
    buyer = Buyer(tmp_path, late)
    with pytest.raises(NodeRefused, match=r"not_yet"):
        await buyer.run()
    assert buyer.reserved() == [(0, 0)]


async def later_award(buyer: Buyer, begins_us: int) -> Award:
    """Return an award that begins then; the order's deadline is one hour after that."""
    window = {"from_us": begins_us, "expires_us": begins_us + 3_600 * SECOND}
    supply = LaterSupply(start_us=begins_us, steps=(PriceStep(price=1, lots=9),))
    grant = Grant([{**window, "settle_by_us": FAR_US}], {"later": (supply,)})
    buyer.market.grants.insert(0, grant)
    (award,) = await buyer.client.order(model="small-model-q4", lots=2, deadline="10d")
    return award


async def test_a_later_award_is_not_drawn_upon_before_it_begins(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    begins_us = now_us() + 7 * 86_400 * SECOND
    award = await later_award(buyer, begins_us)
    assert (award.from_us, award.expires_us) == (begins_us, begins_us + 3_600 * SECOND)
    with pytest.raises(TooEarly) as early:
        await award.run(HELLO)
    assert early.value.from_us == begins_us
    assert str(early.value) == (
        f"award {award.id[:16]} may be drawn upon from {format_time(begins_us)}"
    )
    assert buyer.nodes.opened == []
    assert buyer.reserved() == [(0, 0)]


async def test_a_later_award_is_not_given_back_when_the_client_closes(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    later = await later_award(buyer, now_us() + 7 * 86_400 * SECOND)
    (now,) = await buyer.client.order(model="small-model-q4")
    await buyer.client.aclose()
    assert buyer.nodes.released == [bytes.fromhex(now.id)]
    again = Buyer(tmp_path)
    assert (await again.client.award(later.id)).from_us == later.from_us


@pytest.mark.parametrize("deadline", ["", "6", "tomorrow", "0h", "31d"])
async def test_a_deadline_that_cannot_be_is_named(tmp_path: Path, deadline: str) -> None:
    buyer = Buyer(tmp_path)
    with pytest.raises(InvalidValue, match=r"^deadline: "):
        await buyer.client.order(model="small-model-q4", deadline=deadline)
    assert buyer.market.orders == []


async def test_a_node_that_stays_busy_is_given_up_and_nothing_stays_set_aside(
    tmp_path: Path,
) -> None:
    buyer = Buyer(tmp_path, *[refused(JobRefusal.BUSY)] * BUSY_TRIES_MAX)
    with pytest.raises(NodeRefused, match=r"busy"):
        await buyer.run()
    assert len(buyer.nodes.opened) == BUSY_TRIES_MAX
    assert buyer.reserved() == [(0, 0)]


@pytest.mark.parametrize("refusal", [JobRefusal.SEALING_KEY_RETIRED, JobRefusal.WRONG_CONNECTION])
async def test_a_node_with_new_keys_is_asked_for_them_once(
    tmp_path: Path, refusal: JobRefusal
) -> None:
    buyer = Buyer(tmp_path, refused(refusal))
    await buyer.run()
    assert (len(buyer.nodes.lines), len(buyer.nodes.opened)) == (2, 2)
    again = Buyer(tmp_path / "again", refused(refusal), refused(refusal))
    with pytest.raises(NodeRefused):
        await again.run()
    assert (len(again.nodes.lines), len(again.nodes.opened)) == (2, 2)


async def test_a_busy_node_with_new_keys_is_not_connected_to_anew_each_time(
    tmp_path: Path,
) -> None:
    """A new line closes the one before, and with it every other job that runs on it."""
    retired, busy = refused(JobRefusal.SEALING_KEY_RETIRED), refused(JobRefusal.BUSY)
    buyer = Buyer(tmp_path, retired, busy, busy)
    await buyer.run()
    assert (len(buyer.nodes.lines), len(buyer.nodes.opened)) == (2, 4)


async def test_keys_that_change_while_a_node_is_busy_are_asked_for_so_often_and_no_more(
    tmp_path: Path,
) -> None:
    busy = [refused(JobRefusal.BUSY)] * (BUSY_TRIES_MAX - 1)
    buyer = Buyer(tmp_path, *busy, refused(JobRefusal.SEALING_KEY_RETIRED))
    with pytest.raises(NodeFailed, match=r"its keys change"):
        await buyer.run()
    assert len(buyer.nodes.opened) == BUSY_TRIES_MAX
    assert buyer.reserved() == [(0, 0)]


async def test_a_job_is_not_opened_on_a_line_that_broke_in_the_meantime(tmp_path: Path) -> None:
    """It would wait for its whole silence before anybody noticed."""
    buyer = Buyer(tmp_path)
    buyer.nodes.breaks_while_asked = True
    await buyer.run()
    assert [line.broken for line in buyer.nodes.lines] == [True, False]
    assert len(buyer.nodes.opened) == 1


class OldLine(FakeLine):
    """A line to a node whose keys have changed: every job is refused, all at the same time."""

    def __init__(self, all_refused: asyncio.Barrier) -> None:
        super().__init__(FakeNodes())
        self._all_refused = all_refused

    def open(self, **_: Any) -> FakeLive:
        """Refuse a job."""
        return FakeLive(refused(JobRefusal.SEALING_KEY_RETIRED), self._all_refused)


async def test_jobs_that_meet_new_keys_at_once_do_not_close_each_others_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = Buyer(tmp_path, order_lots=50)
    lines = NodeLines(
        identity=buyer.client.wallet.identity,
        network=NETWORK,
        now_us=lambda: 0,
        random_bytes=bytes,
    )
    old, new = OldLine(asyncio.Barrier(2)), list[FakeLine]()

    async def connect(*_: Any, ask: bool) -> NodeLine:
        if not ask:
            return cast("NodeLine", old)
        new.append(FakeLine(FakeNodes()))
        return cast("NodeLine", new[-1])

    monkeypatch.setattr(lines, "_connect", connect)
    buyer.client._nodes = lines
    await asyncio.gather(buyer.run(), buyer.run())
    assert old.closed
    assert [line.closed for line in new] == [False], "a job had opened on it"


async def test_an_award_that_the_node_calls_spent_is_replaced(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path, refused(JobRefusal.SPENT))
    (held,) = await buyer.client.order(model="small-model-q4")
    buyer.client._orders.held[0].meter.add(Usage(output_tokens=10))
    await buyer.run()
    assert len(buyer.market.orders) == 2
    assert buyer.nodes.released == [bytes.fromhex(held.id)]
    assert len(buyer.reserved()) == 1, "the spent one is no longer held"


async def test_a_fresh_award_that_is_called_spent_is_an_error(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path, refused(JobRefusal.SPENT))
    with pytest.raises(NodeRefused, match=r"spent"):
        await buyer.run()
    assert len(buyer.market.orders) == 1


@pytest.mark.parametrize(
    "error", [refused(JobRefusal.UNPAID), InvalidRequest("why"), NodeFailed(NODE.key, "why")]
)
async def test_a_job_that_does_not_open_sets_nothing_aside(
    tmp_path: Path, error: SwatowError
) -> None:
    buyer = Buyer(tmp_path, error)
    with pytest.raises(type(error)):
        await buyer.run()
    assert buyer.reserved() == [(0, 0)]


async def test_a_node_that_cannot_be_reached_has_failed(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    buyer.nodes.unreachable = Unreachable("down")
    with pytest.raises(NodeFailed, match=r"cannot be reached: down"):
        await buyer.run()
    assert buyer.reserved() == [(0, 0)]


async def test_a_request_on_an_award_is_cut_to_what_is_left_of_it(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    (award,) = await buyer.client.order(model="small-model-q4", lots=1)
    await award.run({**HELLO, "max_tokens": 5_000})
    assert buyer.reserved() == [(1_000, 1)]
    assert buyer.nodes.opened[0]["output_tokens_max"] < 1_000
    assert award.standard_tokens_left == 0


async def test_unused_awards_are_given_back_when_the_client_closes(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    async with buyer.client as client:
        awards = await client.order(model="small-model-q4", lots=2)
    assert buyer.nodes.released == [bytes.fromhex(award.id) for award in awards]
    assert buyer.nodes.closed
    await awards[0].release()
    assert len(buyer.nodes.released) == 1, "once"


async def test_awards_may_be_kept_for_later(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    (award,) = await buyer.client.order(model="small-model-q4", lots=2)
    await buyer.client.aclose(release=False)
    assert buyer.nodes.released == []
    later = Buyer(tmp_path)
    taken_up = await later.client.award(award.id[:12])
    assert (taken_up.id, taken_up.lots, taken_up.zone) == (award.id, 2, "cn-gd-shantou")
    assert repr(taken_up) == f"Award({award.id[:16]}, 2 lots of small-model-q4 in cn-gd-shantou)"


async def test_a_node_that_is_gone_does_not_keep_a_client_from_closing(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    await buyer.client.order(model="small-model-q4")
    buyer.nodes.unreachable = Unreachable("down")
    await buyer.client.aclose()
    assert buyer.nodes.closed


async def test_a_tokenizer_that_no_node_has_is_asked_for_once(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path, order_lots=50)
    for _ in range(3):
        await buyer.run()
    assert buyer.nodes.tokenizers_asked == 1


async def test_a_tokenizer_that_cannot_be_kept_does_not_end_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tokenizer(_: FakeLine, digest: bytes) -> bytes:
        return digest

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(FakeLine, "tokenizer", tokenizer)
    monkeypatch.setattr(TokenizerCache, "keep", full)
    buyer = Buyer(tmp_path)
    await buyer.run()
    assert not buyer.nodes.opened[0]["recount"].is_exact


async def test_a_price_is_needed_from_somewhere(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    buyer.client.settings = buyer.client.settings.model_copy(update={"max_price": None})
    with pytest.raises(InvalidValue, match=r"^max_price: how much"):
        await buyer.run()
    with pytest.raises(InvalidValue, match=r"True is not a number"):
        await buyer.client.run(HELLO, model="small-model-q4", max_price=True)
    await buyer.client.run(HELLO, model="small-model-q4", max_price=0.1)
    assert buyer.market.orders[0].message.terms.models[0].price == 100_000


async def test_a_model_that_is_not_listed_is_named(tmp_path: Path) -> None:
    buyer = Buyer(tmp_path)
    with pytest.raises(InvalidValue, match=r"'gpt'"):
        await buyer.client.run(HELLO, model="gpt")
    assert buyer.market.orders == []


def test_a_synchronous_client_tells_the_network_map_too(tmp_path: Path) -> None:
    market = FakeMarket(wallet_in(tmp_path))
    with Client(
        market=f"{MARKET.key.hex()}@127.0.0.1:1", directory=str(tmp_path), network=NETWORK
    ) as client:
        reconnect(client._async._market, market)
        assert client.network_map().message == samples.network_map()


def test_a_synchronous_client_ends_its_thread_although_closing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def aclose() -> None:
        raise Unreachable("down")

    wallet_in(tmp_path)
    client = Client(market=f"{MARKET.key.hex()}@127.0.0.1:1", directory=str(tmp_path))
    monkeypatch.setattr(client._async, "aclose", aclose)
    with pytest.raises(Unreachable):
        client.close()
    assert not client._thread.is_alive()
    client.close()  # it is closed already
