"""What the operator does on the market's own database, while the market runs or not."""

from pathlib import Path

import pytest

from swatow_market import admin
from swatow_market.config import MarketSettings
from swatow_market.ledger.accounts import CASH, buyer_account
from swatow_protocol import limits
from swatow_protocol.errors import ConfigError, InvalidValue
from tests.support.market_world import UNIT, Clock, World, open_world
from tests.support.samples import BUYER, STRANGER


async def deposit(
    home: Path, amount: int, *, buyer: bytes = BUYER.key, reference: bytes = b"1", **settings: str
) -> bool:
    return await admin.deposit(
        MarketSettings(**settings),  # type: ignore[arg-type]
        home,
        buyer=buyer,
        amount=amount,
        reference=reference,
        now_us=Clock(),
    )


def files(home: Path) -> list[Path]:
    return list(home.iterdir())


async def lines(home: Path) -> dict[str, tuple[int, int]]:
    books = await admin.books(MarketSettings(), home)
    assert books.currency == "USD"
    assert books.cash == books.claims
    return {line.account: (line.balance, line.held) for line in books.lines}


class TestDeposits:
    async def test_before_the_market_has_ever_run(self, tmp_path: Path) -> None:
        assert await deposit(tmp_path, 500)
        assert await lines(tmp_path) == {CASH: (500, 0), buyer_account(BUYER.key): (500, 0)}

    async def test_while_the_market_runs(self, world: World) -> None:
        await world.deposit(UNIT)
        assert (await world.place(5, 100_000)).verdict.reason is None

    async def test_are_credited_once_for_a_buyer_and_reference(self, tmp_path: Path) -> None:
        assert await deposit(tmp_path, 500)
        assert not await deposit(tmp_path, 500)
        assert await deposit(tmp_path, 500, reference=b"2")
        assert await deposit(tmp_path, 500, buyer=STRANGER.key)
        balances = await lines(tmp_path)
        assert balances[buyer_account(BUYER.key)] == (1_000, 0)
        assert balances[buyer_account(STRANGER.key)] == (500, 0)

    async def test_are_kept_apart_where_key_and_reference_run_together(
        self, tmp_path: Path
    ) -> None:
        """The key has one length, so no other key and reference make the same name."""
        assert await deposit(tmp_path, 1, reference=b"\x00")
        assert await deposit(tmp_path, 1, reference=b"")
        assert await deposit(tmp_path, 1, reference=b"\x00\x00")

    @pytest.mark.parametrize("buyer", [b"", BUYER.key[:-1], BUYER.key + b"x"])
    async def test_for_what_is_no_key_are_refused(self, tmp_path: Path, buyer: bytes) -> None:
        with pytest.raises(InvalidValue) as refused:
            await deposit(tmp_path, 500, buyer=buyer)
        assert refused.value.field == "buyer"
        assert files(tmp_path) == [], "nothing was touched"

    @pytest.mark.parametrize(
        ("amount", "smallest"), [(0, "0"), (-5, "0"), (UNIT - 1, "1"), (0, "1")]
    )
    async def test_of_too_little_are_refused(
        self, tmp_path: Path, amount: int, smallest: str
    ) -> None:
        with pytest.raises(InvalidValue) as refused:
            await deposit(tmp_path, amount, deposit_min=smallest)
        assert refused.value.field == "amount"
        assert files(tmp_path) == []

    async def test_of_exactly_the_smallest_are_taken(self, tmp_path: Path) -> None:
        assert await deposit(tmp_path, UNIT, deposit_min="1")

    async def test_of_more_than_an_amount_can_be_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidValue) as refused:
            await deposit(tmp_path, limits.MONEY_MAX + 1)
        assert refused.value.field == "amount"

    async def test_that_add_up_to_more_than_the_books_can_count_are_refused(
        self, tmp_path: Path
    ) -> None:
        assert await deposit(tmp_path, limits.MONEY_MAX)
        with pytest.raises(InvalidValue) as refused:
            await deposit(tmp_path, 1, buyer=STRANGER.key)
        assert refused.value.field == "amount"
        expected = (limits.MONEY_MAX, 0)
        assert await lines(tmp_path) == {CASH: expected, buyer_account(BUYER.key): expected}

    async def test_in_another_currency_than_before_are_refused(self, tmp_path: Path) -> None:
        assert await deposit(tmp_path, 500)
        with pytest.raises(ConfigError, match="in USD"):
            await deposit(tmp_path, 500, reference=b"2", currency="CNY")


class TestBooks:
    async def test_show_every_account_with_what_is_held(self, empty_home: Path) -> None:
        world = await open_world(empty_home)
        await world.deposit(UNIT)
        award = await world.bought(5, 80_000)
        await world.redeem(award, 1_000)
        expected = await world.balances()
        await world.close()
        assert await lines(empty_home) == expected

    async def test_of_a_market_that_has_never_run_are_empty(self, tmp_path: Path) -> None:
        assert await lines(tmp_path) == {}
