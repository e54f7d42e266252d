"""Admission of jobs: is this opening covered by an award that this node must serve?

Everything is checked from what the buyer brings and who this node is; the market is not asked.
Pure. The checks are made in the order of JobRefusal, as far as UNSUPPORTED.
"""

from collections.abc import Callable
from dataclasses import dataclass

from swatow_protocol import codec, limits
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import MessageRefused, Refusal, SealBroken
from swatow_protocol.messages import Award, Frame, JobOpen, JobRefusal, Model, Offer, OpenBody
from swatow_protocol.periods import is_later, steps_for
from swatow_protocol.sealing import SealingKey, Seals, Side
from swatow_protocol.units import MICROS_PER_MILLISECOND, div_ceil


class JobRefused(Exception):
    """A job that is not started."""

    def __init__(
        self, refusal: JobRefusal, detail: str = "", retry_after_ms: int | None = None
    ) -> None:
        super().__init__(f"{refusal.value}: {detail}")
        self.refusal = refusal
        self.detail = detail[:1024]
        self.retry_after_ms = retry_after_ms


@dataclass(frozen=True, slots=True)
class House:
    """Who this node is, as admission needs to know it."""

    key: bytes
    """The node's Ed25519 key."""
    network: str
    market: bytes
    """Key of the market through which it sells."""
    model: Signed[Model]
    """The model that it serves."""
    certificates: Callable[[], tuple[bytes, ...]]
    """Hashes of the certificates that open connections may have been shown."""
    sealing_keys: Callable[[], tuple[SealingKey, ...]]
    """The current sealing key, and those that have just rotated out."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A job that may be started."""

    open: Signed[JobOpen]
    award: Signed[Award]
    offer: Signed[Offer]


def judge_opening(frame: Frame, house: House, now_us: int) -> Opening:
    """Check everything about an OPEN frame that needs no state.

    Raises:
        JobRefused: with the first refusal that applies.
    """
    try:
        body = codec.decode(OpenBody, frame.body)
    except MessageRefused as error:
        raise JobRefused(JobRefusal.MALFORMED, str(error)) from None
    award = _award(body, house, now_us)
    if award.message.node != house.key:
        raise JobRefused(JobRefusal.WRONG_NODE, f"the award is for {award.message.node.hex()}")
    signed = _open(body, award.message, house, now_us)
    message = signed.message
    if message.award != award.id or message.job != frame.job:
        raise JobRefused(JobRefusal.WRONG_CONNECTION, "made for another award or job number")
    if message.certificate_sha256 not in house.certificates():
        raise JobRefused(JobRefusal.WRONG_CONNECTION, "made for another certificate")
    offer = _offer(body, award.message, house)
    if message.service not in house.model.message.services:
        raise JobRefused(JobRefusal.UNSUPPORTED, f"{message.service.value} is not served")
    return Opening(signed, award, offer)


def agree_on_seals(opening: Opening, house: House) -> Seals:
    """Return the seals of a stream, from the buyer's key and the node's key that it chose.

    Raises:
        JobRefused: the chosen key has rotated out, or the buyer's is no usable key.
    """
    message = opening.open.message
    for key in house.sealing_keys():
        if key.public == message.sealing_key:
            try:
                return Seals(Side.NODE, key, message.stream_key)
            except SealBroken as error:
                raise JobRefused(JobRefusal.UNSEALED, str(error)) from None
    raise JobRefused(JobRefusal.SEALING_KEY_RETIRED)


def _award(body: OpenBody, house: House, now_us: int) -> Signed[Award]:
    try:
        signed = verify(
            body.award, Award, network=house.network, now_us=now_us, sender=house.market
        )
    except MessageRefused as error:
        refusal = _AWARD_REFUSALS.get(error.refusal, JobRefusal.MALFORMED)
        raise JobRefused(refusal, f"award: {error}") from None
    award = signed.message
    # An award of now has begun, however far the market's clock is ahead of this one.
    early_us = award.from_us - now_us if is_later(award) else 0
    if early_us > 0:
        retry_ms = min(div_ceil(early_us, MICROS_PER_MILLISECOND), limits.MILLISECONDS_MAX)
        raise JobRefused(JobRefusal.NOT_YET, f"the award begins in {early_us} us", retry_ms)
    return signed


def _open(body: OpenBody, award: Award, house: House, now_us: int) -> Signed[JobOpen]:
    try:
        return verify(body.open, JobOpen, network=house.network, now_us=now_us, sender=award.buyer)
    except MessageRefused as error:
        refusal = _OPEN_REFUSALS.get(error.refusal, JobRefusal.MALFORMED)
        raise JobRefused(refusal, f"opening: {error}") from None


def _offer(body: OpenBody, award: Award, house: House) -> Signed[Offer]:
    """The award must rest on this node's own offer, for this model, at no lower price.

    One of a later period rests on what the offer states for that period. That all awards of a
    period together fit it is the market's to keep, which alone knows them all.
    """
    try:
        offer = verify(body.offer, Offer, network=house.network, now_us=None, sender=house.key)
    except MessageRefused as error:
        raise JobRefused(JobRefusal.UNKNOWN_OFFER, f"offer: {error}") from None
    steps = steps_for(award, offer.message)
    fits = (
        len(steps) > 0
        and award.offer == offer.id
        and award.model == offer.message.model == house.model.id
        and award.node_price >= steps[0].price
        and award.lots <= sum(step.lots for step in steps)
        and award.currency == offer.message.currency
        and award.issued_us < offer.message.expires_us
    )
    if not fits:
        raise JobRefused(JobRefusal.UNKNOWN_OFFER, "the award does not fit the offer")
    return offer


_AWARD_REFUSALS = {
    Refusal.EXPIRED: JobRefusal.EXPIRED,
    Refusal.WRONG_NETWORK: JobRefusal.WRONG_MARKET,
    Refusal.WRONG_SENDER: JobRefusal.WRONG_MARKET,
    Refusal.BAD_SIGNATURE: JobRefusal.WRONG_MARKET,
}
_OPEN_REFUSALS = {
    Refusal.WRONG_SENDER: JobRefusal.WRONG_BUYER,
    Refusal.BAD_SIGNATURE: JobRefusal.WRONG_BUYER,
}
