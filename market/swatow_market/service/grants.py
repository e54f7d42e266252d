"""Awards: what fills become, signed, with what the database keeps of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from swatow_market.exchange.clearing import Fill
from swatow_market.exchange.eligibility import agreed_payment
from swatow_market.exchange.offers import BookOffer
from swatow_market.exchange.orders import BookOrder
from swatow_market.ledger import accounts
from swatow_market.ledger.rules import award_hold
from swatow_market.service.state import MarketState
from swatow_protocol.envelope import Signed, sign
from swatow_protocol.messages import Award, RoundNumber
from swatow_protocol.messages.answers import Granted


@dataclass(frozen=True, slots=True)
class Grant:
    """An award, for what, and from whom."""

    order: BookOrder
    entry: BookOffer
    fill: Fill
    award: Signed[Award]

    @property
    def told(self) -> Granted:
        """What the buyer is told."""
        return Granted(award=self.award.envelope, offer=self.entry.envelope)

    @property
    def turn(self) -> accounts.Turn:
        """Part of what is held for the order becomes what is held for the award."""
        held = award_hold(self.award.message)
        return accounts.Turn(self.order.id, self.fill.worth, self.award.id, held)

    @property
    def row(self) -> dict[str, Any]:
        """What the database keeps."""
        award = self.award.message
        return {
            "id": self.award.id,
            "order_id": self.order.id,
            "buyer": award.buyer,
            "node": award.node,
            "model": award.model,
            "lots": award.lots,
            "from_us": award.from_us,
            "expires_us": award.expires_us,
            "settle_by_us": award.settle_by_us,
            "envelope": self.award.envelope,
            "offer_envelope": self.entry.envelope,
            "standard_tokens": 0,
            "voucher": None,
            "closed": False,
            "take_or_pay_ppm": award.take_or_pay_ppm,
            "contested_us": None,
        }


def make_grants(
    state: MarketState,
    fills: Iterable[Fill],
    orders: Iterable[BookOrder],
    offers: Iterable[BookOffer],
    number: int,
    now_us: int,
) -> list[Grant]:
    """Sign an award for each fill; slow enough for another thread."""
    wanted = {order.id: order for order in orders}
    offered = {entry.id: entry for entry in offers}
    grants = []
    for fill in fills:
        order, entry = wanted[fill.order], offered[fill.offer]
        award = _award(state, order, entry, fill, number, now_us)
        grants.append(Grant(order, entry, fill, award))
    return grants


def _award(
    state: MarketState, order: BookOrder, entry: BookOffer, fill: Fill, number: int, now_us: int
) -> Signed[Award]:
    offer, terms = entry.offer, order.terms
    payment = agreed_payment(offer.payment, terms.payment)
    assert payment is not None, "an eligible offer agrees on payment"
    from_us = fill.from_us or now_us
    life_us = state.terms.message.period_us if fill.from_us else terms.award_life_us
    expires_us = from_us + life_us
    award = Award(
        network=state.network,
        sender=state.identity.key,
        issued_us=now_us,
        order=order.id,
        offer=entry.id,
        model=offer.model,
        buyer=order.buyer,
        node=offer.sender,
        round=RoundNumber(shard=state.shard, epoch=state.epoch, number=number),
        currency=state.currency,
        lots=fill.lots,
        price=fill.price,
        node_price=fill.node_price,
        path_charge=fill.path_charge,
        fee_ppm=state.terms.message.fee_ppm,
        rate=terms.rate,
        zone=offer.zone,
        from_us=from_us,
        expires_us=expires_us,
        settle_by_us=expires_us + state.terms.message.dispute_us,
        take_or_pay_ppm=terms.take_or_pay_ppm,
        payment=payment,
        package=terms.package,
        certificate_sha256=offer.certificate_sha256,
        sealing_key=offer.sealing_key,
    )
    return sign(award, state.identity)
