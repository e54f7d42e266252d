"""The wallet: its key is the owner's alone, and what it is given is on disk when a call returns."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from swatow._statement import read_awards, read_receipts
from swatow._wallet import KeptAward, KeptOrder, KeptReceipt, Wallet
from swatow.errors import KeyFileError
from swatow_protocol.envelope import countersign, sign
from tests.support import samples
from tests.support.samples import (
    BUYER,
    LATER_US,
    MARKET,
    NETWORK,
    NODE,
    NOW_US,
    PERIOD_US,
    SECOND,
    STRANGER,
    digest,
)

ORDER = digest("order")


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet(tmp_path / "buyer")


def ids(*starts: str) -> list[bytes]:
    """Return ids that start with these hexadecimal digits."""
    return [bytes.fromhex(start.ljust(64, "0")) for start in starts]


def keep(wallet: Wallet, *awards: bytes) -> None:
    wallet.keep_order(ORDER, b"order", NOW_US)
    for award in awards:
        wallet.keep_awards([(award, ORDER, b"award " + award[:2], b"offer")])


def test_a_new_wallet_has_a_key_that_only_its_owner_can_read(wallet: Wallet) -> None:
    key = wallet.directory / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(wallet.directory.stat().st_mode) == 0o700


def test_a_wallet_keeps_its_key(wallet: Wallet) -> None:
    assert Wallet(wallet.directory).identity.key == wallet.identity.key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_get_at_is_refused(wallet: Wallet, mode: int) -> None:
    (wallet.directory / "key").chmod(mode)
    with pytest.raises(KeyFileError, match=r"chmod 600"):
        Wallet(wallet.directory)


@pytest.mark.parametrize("content", ["", "00", "zz" * 32, "00" * 33])
def test_a_key_file_that_holds_no_key_is_refused_and_left_alone(
    wallet: Wallet, content: str
) -> None:
    path = wallet.directory / "key"
    path.write_text(content)
    with pytest.raises(KeyFileError, match=r"not a key file"):
        Wallet(wallet.directory)
    assert path.read_text() == content


def test_a_key_behind_a_link_is_refused(wallet: Wallet, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "key").symlink_to(wallet.directory / "key")
    with pytest.raises(KeyFileError):
        Wallet(other)


def test_an_order_is_on_disk_when_the_call_returns(wallet: Wallet) -> None:
    wallet.keep_order(ORDER, b"order", NOW_US)
    with closing(sqlite3.connect(wallet.directory / "wallet.sqlite")) as other:
        rows = other.execute("SELECT * FROM orders").fetchall()
        mode = other.execute("PRAGMA journal_mode").fetchone()
    assert rows == [(ORDER, b"order", NOW_US)]
    assert mode == ("wal",)


def test_an_order_that_is_sent_again_is_the_same_order(wallet: Wallet) -> None:
    for _ in range(2):
        wallet.keep_order(ORDER, b"order", NOW_US)
    assert wallet.orders_count() == 1
    assert Wallet(wallet.directory).orders_count() == 1


def test_a_batch_is_on_disk_once_and_its_orders_are_found_one_by_one(wallet: Wallet) -> None:
    wallet.keep_order(ORDER, b"order", NOW_US)
    first, second = ids("ab12", "ab34")
    for _ in range(2):
        wallet.keep_batch(digest("batch"), b"batch", NOW_US + 1, [second, first])
    with closing(sqlite3.connect(wallet.directory / "wallet.sqlite")) as other:
        rows = other.execute("SELECT * FROM batches").fetchall()
    assert rows == [(digest("batch"), b"batch", NOW_US + 1)]
    numbered = [KeptOrder(second, b"batch", 0), KeptOrder(first, b"batch", 1)]
    assert wallet.orders(9) == [*numbered, KeptOrder(ORDER, b"order", None)]
    assert wallet.orders(1) == numbered[:1]
    assert wallet.orders_count() == 3
    again = Wallet(wallet.directory)
    assert again.order("AB12") == numbered[1]
    assert again.order("ab") is None
    again.keep_awards([(digest("award"), first, b"award", b"offer")])
    assert again.award(digest("award").hex()) == KeptAward(first, b"award", b"offer")
    assert again.awards(9) == [KeptAward(first, b"award", b"offer")]


def test_an_award_is_found_by_its_first_digits(wallet: Wallet) -> None:
    first, second = ids("ab12", "ab34")
    keep(wallet, first, second)
    found = KeptAward(ORDER, b"award \xab\x12", b"offer")
    for prefix in ("ab1", "AB12", first.hex(), first.hex().upper()):
        assert wallet.award(prefix) == found


@pytest.mark.parametrize("prefix", ["ab", "a", "", "abc", "00", "b12"])
def test_digits_of_several_awards_or_of_none_name_none(wallet: Wallet, prefix: str) -> None:
    keep(wallet, *ids("ab12", "ab34"))
    assert wallet.award(prefix) is None


@pytest.mark.parametrize("prefix", ["%", "_", "%12", "__12", "a%", "xy", "'"])
def test_what_is_no_hexadecimal_digit_names_no_award(wallet: Wallet, prefix: str) -> None:
    keep(wallet, *ids("ab12"))
    assert wallet.award(prefix) is None


def test_an_award_without_its_order_cannot_be_checked_and_is_not_given(wallet: Wallet) -> None:
    (award,) = ids("ab12")
    wallet.keep_awards([(award, ORDER, b"award", b"offer")])
    assert wallet.award("ab12") is None


def test_another_process_finds_the_award(wallet: Wallet) -> None:
    keep(wallet, *ids("ab12"))
    assert Wallet(wallet.directory).award("ab") is not None


def test_awards_come_newest_first_and_no_more_than_asked_for(wallet: Wallet) -> None:
    for number, placed_us in enumerate((20, 40, 10, 30)):
        wallet.keep_order(digest(f"order {number}"), b"%d" % placed_us, placed_us)
        award, order = digest(f"award {number}"), digest(f"order {number}")
        wallet.keep_awards([(award, order, b"", b"")])
    latest = [digest(f"order {number}") for number in (1, 3, 0)]
    assert [each.order for each in wallet.awards(3)] == latest
    assert wallet.awards(0) == []


def test_awards_that_are_not_over_are_shown_with_their_times_by_when_they_begin(
    wallet: Wallet,
) -> None:
    later = {"from_us": LATER_US, "expires_us": LATER_US + PERIOD_US}
    given = {
        "later": sign(samples.award(**later), MARKET).envelope,
        "now": sign(samples.award(), MARKET).envelope,
        "over": sign(samples.award(expires_us=NOW_US), MARKET).envelope,
        "forged": sign(samples.award(sender=STRANGER.key), STRANGER).envelope,
        "words": b"words",
    }
    wallet.keep_order(ORDER, b"order", NOW_US)
    for name, envelope in given.items():
        wallet.keep_awards([(digest(name), ORDER, envelope, b"offer")])
    names = {digest("model"): "small-model-q4"}
    shown = read_awards(wallet, market=MARKET.key, network=NETWORK, models=names, now_us=NOW_US)
    times = [(each["from_us"], each["expires_us"]) for each in shown]
    assert times == [(NOW_US, NOW_US + 600 * SECOND), (LATER_US, LATER_US + PERIOD_US)]
    assert shown[0] == {
        "id": sign(samples.award(), MARKET).id.hex(),
        "model": "small-model-q4",
        "node": NODE.key.hex(),
        "zone": "cn-gd-shantou",
        "lots": 5,
        "price": 80_000,
        "currency": "USD",
        "from_us": NOW_US,
        "expires_us": NOW_US + 600 * SECOND,
    }


def test_receipts_come_newest_first_and_no_more_than_asked_for(wallet: Wallet) -> None:
    for number, closed_us in enumerate((20, 40, 10, 30)):
        wallet.keep_receipt(digest(f"job {number}"), closed_us, b"%d" % closed_us, None)
    assert [each.envelope for each in wallet.receipts(3)] == [b"40", b"30", b"20"]
    assert wallet.receipts(0) == []


def test_a_receipt_is_kept_with_its_countersignature(wallet: Wallet) -> None:
    wallet.keep_receipt(digest("job"), 1, b"receipt", None)
    wallet.keep_receipt(digest("job"), 1, b"receipt", b"signature")
    assert wallet.receipts(9) == [KeptReceipt(b"receipt", b"signature")]


def test_receipts_are_checked_again_before_they_are_shown(wallet: Wallet) -> None:
    """What somebody has changed in the file is not shown as signed."""
    signed = sign(samples.receipt(), NODE)
    genuine, forged = countersign(signed, BUYER), b"\x01" * 64
    altered = bytearray(signed.envelope)
    altered[-1] ^= 1
    for number, (envelope, signature) in enumerate(
        [
            (signed.envelope, genuine),
            (signed.envelope, forged),
            (signed.envelope, None),
            (bytes(altered), genuine),
            (sign(samples.receipt(network="other"), NODE).envelope, None),
            (b"words", None),
        ]
    ):
        wallet.keep_receipt(digest(f"job {number}"), 100 - number, envelope, signature)
    shown = read_receipts(wallet, 10, NETWORK, {digest("model"): "small-model-q4"})
    assert [each["countersigned"] for each in shown] == [True, False, False]
    assert shown[0] == {
        "job": digest("job").hex(),
        "award": digest("award").hex(),
        "node": NODE.key.hex(),
        "model": "small-model-q4",
        "prompt_tokens": 32,
        "output_tokens": 64,
        "standard_tokens": 72,
        "price": 80_000,
        "cost": 5_760,
        "currency": "USD",
        "closed_us": NOW_US + 900_000,
        "finish_reason": "stop",
        "countersigned": True,
    }


def test_a_model_that_is_no_longer_listed_is_shown_by_its_id(wallet: Wallet) -> None:
    signed = sign(samples.receipt(buyer=STRANGER.key), NODE)
    wallet.keep_receipt(digest("job"), 1, signed.envelope, None)
    (shown,) = read_receipts(wallet, 10, NETWORK, {})
    assert shown["model"] == digest("model").hex()[:16]
