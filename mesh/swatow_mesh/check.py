"""Checking how a round has treated an order: the buyer's knowledge against the published record."""

from dataclasses import dataclass
from typing import Any

from swatow._evidence import RoundEvidence
from swatow_market.exchange.certificate.merkle import Proof
from swatow_market.exchange.certificate.trader import Own, Paid, doubts, segment_price
from swatow_market.published import check
from swatow_protocol.envelope import Signed, verify
from swatow_protocol.errors import MessageRefused
from swatow_protocol.messages import Award, Order, RoundHead


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCheck:
    """What a check of a round came to, for one order."""

    order: str
    """Its id, in hexadecimal."""
    round: str
    """Shard EPOCH/NUMBER."""
    price: int | None
    """Delivered price of its segment, nanos a lot; None where it has none."""
    lots_before: int
    """Lots of it that were open before the round."""
    lots: int
    """Lots that it got."""
    paid: int
    """What they cost at most, in nanos."""
    wrong: tuple[str, ...]
    """What is wrong with the round, or with what it did to the order; nothing if all is right."""

    def as_dict(self) -> dict[str, Any]:
        """Return the check as plain values."""
        names = ("order", "round", "price", "lots_before", "lots", "paid")
        values = {name: getattr(self, name) for name in names}
        return {**values, "right": not self.wrong, "wrong": list(self.wrong)}


def check_order(evidence: RoundEvidence, market: bytes) -> OrderCheck:
    """Check a round and what it did to an order.

    Args:
        evidence: what the buyer knows and what the market has sent.
        market: the market's key.
    """
    awards = evidence.awards_of_round
    price, wrong = _judged(evidence, market)
    number = evidence.round
    return OrderCheck(
        order=evidence.order.id.hex(),
        round=f"{number.shard} {number.epoch}/{number.number}",
        price=price,
        lots_before=evidence.lots_before,
        lots=sum(award.message.lots for award in awards),
        paid=sum(award.message.lots * award.message.price for award in awards),
        wrong=wrong,
    )


def _judged(evidence: RoundEvidence, market: bytes) -> tuple[int | None, tuple[str, ...]]:
    """Return the price of the order's segment, and what is wrong."""
    if not evidence.file:
        return None, ("not_published: the market does not keep the record of this round",)
    try:
        found = check(evidence.file)
        network = evidence.order.message.network
        said = verify(
            evidence.proof.head, RoundHead, network=network, now_us=None, sender=market
        ).message
    except MessageRefused as refusal:
        return None, (f"record: {refusal}",)
    if found.head.sender != market:
        return None, ("record: it is signed by another than the market",)
    if (found.head.round, found.head.record) != (said.round, said.record):
        return None, ("record: the market has signed another one of this round",)
    if found.judgement.findings:
        findings = found.judgement.findings
        return None, tuple(f"{each.check.value}: {each.detail}" for each in findings)
    own, proof = _own(evidence), evidence.proof
    price = None if proof.segment is None else segment_price(found.record, proof.segment)
    return price, tuple(sorted(doubt.value for doubt in doubts(found.record, own)))


def _own(evidence: RoundEvidence) -> Own:
    order, proof = evidence.order, evidence.proof
    terms = order.message.terms
    most = max(limit.price for limit in terms.models)
    return Own(
        order=order.id,
        rows=((most, evidence.lots_before),),
        all_or_none=terms.all_or_none,
        awards=tuple(_paid(award, order, most) for award in evidence.awards_of_round),
        segment=proof.segment,
        proof=Proof(index=proof.index, leaves=proof.leaves, hashes=proof.hashes),
    )


def _paid(award: Signed[Award], order: Signed[Order], most: int) -> Paid:
    limits = {limit.model: limit.price for limit in reversed(order.message.terms.models)}
    handicap = most - limits.get(award.message.model, most)
    return Paid(lots=award.message.lots, price=award.message.price, handicap=handicap)
