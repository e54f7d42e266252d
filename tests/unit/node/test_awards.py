"""The awards at a node: what may be lost on each, what is claimed, and how many are remembered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow_node import awards
from swatow_node.awards import ABANDONED_PROMPTS_MAX, RECONNECTS_MAX, AwardAccount, AwardBook
from swatow_protocol.envelope import sign
from swatow_protocol.messages import PaymentTerms, Usage, Voucher
from tests.support import samples
from tests.support.samples import BUYER, STRANGER
from tests.unit.node import deal

WINDOW = 32
MODEL = deal.MODEL.message


def voucher(account: AwardAccount, **usage: int) -> Voucher:
    counted = Usage(**usage)
    tokens = account.meter.owed_for(counted)
    return samples.voucher(award=account.signed.id, usage=counted, standard_tokens=tokens)


def lose(account: AwardAccount, tokens: int) -> None:
    """Deliver tokens on a job whose buyer goes away without paying for them."""
    account.jobs += 1
    account.meter.add(Usage(output_tokens=tokens))
    account.job_ended()


def test_an_award_has_one_account() -> None:
    book = AwardBook()
    first = book.open(deal.award(), MODEL)
    assert book.open(deal.award(), MODEL) is first
    assert book.open(deal.award(lots=6), MODEL) is not first
    assert first.meter.total == 5_000
    assert first.meter.payment == PaymentTerms(voucher_interval=16, credit_window=WINDOW)


def test_an_award_is_in_use_while_a_job_is_open() -> None:
    book = AwardBook()
    account = book.open(deal.award(), MODEL)
    assert not book.is_in_use(account.signed.id)
    account.jobs += 2
    assert book.is_in_use(account.signed.id)
    account.job_ended()
    assert book.is_in_use(account.signed.id)
    account.job_ended()
    assert not book.is_in_use(account.signed.id)
    assert not book.is_in_use(samples.digest("an award that nobody brought"))


def test_the_highest_voucher_is_kept_in_whatever_order_they_come() -> None:
    account = deal.account()
    low, high = (voucher(account, output_tokens=count) for count in (10, 20))
    for each in (high, low):
        account.record_voucher(each, sign(each, BUYER).envelope)
    assert account.voucher == sign(high, BUYER).envelope
    assert account.meter.signed == 20


def test_what_is_claimed_is_signed_for_and_counted() -> None:
    account = deal.account()
    account.meter.add(Usage(output_tokens=30))
    assert account.claim == 0, "counted, not signed"
    account.record_voucher(voucher(account, output_tokens=20), b"voucher")
    assert account.claim == 20
    account.meter.take_back(Usage(output_tokens=15))
    assert account.claim == 15, "signed, but the engine's last word was lower"


def test_unpaid_work_is_given_up_only_with_the_last_job() -> None:
    account = deal.account()
    account.record_voucher(voucher(account, output_tokens=10), b"voucher")
    account.meter.add(Usage(output_tokens=7))
    account.jobs = 2
    account.job_ended()
    assert (account.lost_output, account.meter.unpaid_output) == (0, 7)
    account.job_ended()
    assert (account.lost_output, account.meter.unpaid_output) == (7, 0)
    assert account.meter.owed == account.meter.signed == 10


def test_nothing_is_lost_on_a_job_that_is_paid_or_signed_for_in_advance() -> None:
    account = deal.account()
    account.record_voucher(voucher(account, output_tokens=10), b"voucher")
    account.meter.take_back(Usage(output_tokens=4))
    account.jobs = 1
    account.job_ended()
    assert account.lost_output == 0


def test_a_buyer_is_trusted_until_it_has_lost_more_than_so_many_windows() -> None:
    account = deal.account(window=WINDOW)
    lose(account, RECONNECTS_MAX * WINDOW)
    assert [account.trusted] == [True]
    lose(account, 1)
    assert [account.trusted] == [False]


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_a_node_loses_at_most_one_window_more_than_the_reconnects_that_it_allows(
    wishes: list[int],
) -> None:
    """A buyer that never pays takes, on each connection, as much as the window lets it."""
    account = deal.account(window=WINDOW)
    for wish in wishes:
        if not account.trusted:
            break
        delivered = 0
        account.jobs += 1
        while delivered < wish and account.meter.allows(1):
            account.meter.add(Usage(output_tokens=1))
            delivered += 1
        account.job_ended()
    assert account.lost_output <= WINDOW * (1 + RECONNECTS_MAX)


def test_prompts_are_due_first_after_so_many_were_abandoned() -> None:
    book = AwardBook()
    for _ in range(ABANDONED_PROMPTS_MAX):
        assert not book.must_prepay(BUYER.key)
        book.prompt_abandoned(BUYER.key)
    assert book.must_prepay(BUYER.key)
    assert not book.must_prepay(STRANGER.key)


def test_the_buyer_counted_first_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awards, "BUYERS_REMEMBERED_MAX", 2)
    book, buyers = AwardBook(), [bytes([number]) * 32 for number in range(3)]
    for buyer in buyers:
        for _ in range(ABANDONED_PROMPTS_MAX):
            book.prompt_abandoned(buyer)
    assert [book.must_prepay(buyer) for buyer in buyers] == [False, True, True]


def small_book(monkeypatch: pytest.MonkeyPatch, size: int) -> tuple[AwardBook, Any]:
    monkeypatch.setattr(awards, "AWARDS_MAX", size)
    book = AwardBook()
    return book, lambda lots: book.open(deal.award(lots=lots), MODEL)


def test_beyond_the_bound_an_award_without_jobs_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book, opened = small_book(monkeypatch, 3)
    first = opened(1)
    first.jobs = 1
    second, third = opened(2), opened(3)
    assert opened(4).signed.id in book.accounts
    assert second.signed.id not in book.accounts, "the first that is idle"
    assert {first.signed.id, third.signed.id} <= book.accounts.keys()
    assert len(book.accounts) == 3


def test_an_award_with_jobs_is_never_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    book, opened = small_book(monkeypatch, 2)
    busy = [opened(lots) for lots in (1, 2)]
    for account in busy:
        account.jobs = 1
    opened(3)
    assert {account.signed.id for account in busy} <= book.accounts.keys()
