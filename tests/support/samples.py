"""One valid message of every kind, all fields filled, made from fixed keys: the same every time."""

from hashlib import sha256
from typing import Any

from swatow_protocol.identity import Identity
from swatow_protocol.messages import (
    Attributes,
    Award,
    Contest,
    Corridor,
    DataClass,
    Endpoint,
    FinishReason,
    JobOpen,
    LaterSupply,
    Limits,
    MapPath,
    MapZone,
    MarketTerms,
    Message,
    Model,
    ModelLimit,
    NetworkMap,
    Offer,
    Order,
    OrderBatch,
    OrderCancel,
    OrderTerms,
    PaymentTerms,
    Position,
    PriceStep,
    Promises,
    Query,
    Receipt,
    Redemption,
    Retention,
    RoundHead,
    RoundNumber,
    Service,
    Subject,
    Usage,
    Voucher,
)
from swatow_protocol.messages.order import pack_columns

NETWORK = "test"
NOW_US = 1_790_000_000_000_000
SECOND = 1_000_000
PERIOD_US = 3_600 * SECOND
LATER_US = NOW_US - NOW_US % PERIOD_US + PERIOD_US
"""When the next period starts."""

MARKET = Identity(bytes([1]) * 32)
NODE = Identity(bytes([2]) * 32)
BUYER = Identity(bytes([3]) * 32)
STRANGER = Identity(bytes([9]) * 32)

PAYMENT = PaymentTerms(voucher_interval=16, credit_window=32)


def digest(name: str) -> bytes:
    """Return 32 bytes that stand for an id or a hash."""
    return sha256(name.encode()).digest()


def head(sender: Identity, issued_us: int = NOW_US) -> dict[str, Any]:
    """Return the fields that every message starts with."""
    return {"network": NETWORK, "sender": sender.key, "issued_us": issued_us}


def model(**changes: Any) -> Model:
    """Return a model; a prompt token weighs a quarter, a cached one a twentieth."""
    fields: dict[str, Any] = {
        **head(MARKET),
        "name": "small-model-q4",
        "weights_sha256": digest("weights"),
        "precision": "q4_1",
        "tokenizer_sha256": digest("tokenizer"),
        "template_sha256": None,
        "context_tokens": 4_096,
        "prompt_weight": 250,
        "cached_weight": 50,
        "services": (Service.CHAT, Service.EMBEDDINGS),
    }
    return Model(**{**fields, **changes})


def offer(**changes: Any) -> Offer:
    """Return an offer of 100 lots in two steps."""
    fields: dict[str, Any] = {
        **head(NODE),
        "model": digest("model"),
        "currency": "USD",
        "sequence": 7,
        "valid_from_us": NOW_US,
        "expires_us": NOW_US + 60 * SECOND,
        "zone": "cn-gd-shantou",
        "steps": (PriceStep(price=80_000, lots=60), PriceStep(price=90_000, lots=40)),
        "later": (
            LaterSupply(start_us=LATER_US, steps=(PriceStep(price=60_000, lots=80),)),
            LaterSupply(
                start_us=LATER_US + PERIOD_US,
                steps=(PriceStep(price=50_000, lots=70), PriceStep(price=65_000, lots=30)),
            ),
        ),
        "rate": 400,
        "promises": Promises(
            time_to_first_token_ms=800, tokens_per_second=40, jobs_at_once=4, notice_ms=30_000
        ),
        "attributes": Attributes(
            vendor="ascend",
            accelerator="910c",
            engine="mindie/2.1",
            engine_profile=digest("profile"),
            features=("logprobs", "seed"),
            retention=Retention.NOTHING,
            corridors=("shantou-2026",),
            carbon_mg_per_lot=120,
            energy_source="wind",
            attestation="sev-snp",
        ),
        "payment": PAYMENT,
        "addresses": ("node.example:7710", "[2001:db8::1]:7710"),
        "certificate_sha256": digest("certificate"),
        "sealing_key": digest("sealing"),
    }
    return Offer(**{**fields, **changes})


def terms(**changes: Any) -> OrderTerms:
    """Return order terms without hard limits, at most 100,000 nanos a lot."""
    fields: dict[str, Any] = {
        "currency": "USD",
        "models": (ModelLimit(model=digest("model"), price=100_000),),
        "expires_us": NOW_US + 10 * SECOND,
        "award_life_us": 600 * SECOND,
    }
    return OrderTerms(**{**fields, **changes})


def all_limits() -> Limits:
    """Return limits with every field set, all of which `offer()` meets."""
    return Limits(
        origin="sg",
        round_trip_ms=80,
        zones=("cn-gd", "cn-gz-guian"),
        zones_refused=("cn-bj",),
        jurisdictions=("cn",),
        precisions=("q4_1", "bf16"),
        vendors=("ascend", "cpu"),
        vendors_refused=("nvidia",),
        features=("seed",),
        data_origin="sg",
        data_class=DataClass.PERSONAL,
        corridor="shantou-2026",
        retention=Retention.DAY,
        carbon_mg_per_lot=200,
        time_to_first_token_ms=1_000,
        tokens_per_second=20,
        reputation=500,
        attestations=("sev-snp", "tdx"),
    )


def order(**changes: Any) -> Order:
    """Return an order of 5 lots with every limit set."""
    fields: dict[str, Any] = {
        **head(BUYER),
        "nonce": bytes(range(16)),
        "lots": 5,
        "terms": terms(
            models=(
                ModelLimit(model=digest("model"), price=100_000),
                ModelLimit(model=digest("other model"), price=70_000),
            ),
            rate=50,
            limits=all_limits(),
            all_or_none=True,
            take_or_pay_ppm=100_000,
            deadline_us=NOW_US + 3_600 * SECOND,
            package=digest("package"),
            payer=BUYER.key,
        ),
    }
    return Order(**{**fields, **changes})


def order_batch(rows: list[tuple[int, int, int]] | None = None, **changes: Any) -> OrderBatch:
    """Return a batch; rows are (term number, lots, price)."""
    term_column, lots_column, price_column = pack_columns(
        rows or [(0, 5, 100_000), (1, 1, 90_000), (0, 7, 80_000)]
    )
    fields: dict[str, Any] = {
        **head(BUYER),
        "nonce": bytes(range(16)),
        "terms": (terms(), terms(all_or_none=True)),
        "term_column": term_column,
        "lots_column": lots_column,
        "price_column": price_column,
    }
    return OrderBatch(**{**fields, **changes})


def round_head(**changes: Any) -> RoundHead:
    """Return the market's word on the record of a round."""
    fields: dict[str, Any] = {
        **head(MARKET),
        "round": RoundNumber(shard="main", epoch=3, number=41),
        "record": digest("record"),
    }
    return RoundHead(**{**fields, **changes})


def award(**changes: Any) -> Award:
    """Return an award of 5 lots to BUYER at NODE for 80,000 nanos a lot."""
    fields: dict[str, Any] = {
        **head(MARKET),
        "order": digest("order"),
        "offer": digest("offer"),
        "model": digest("model"),
        "buyer": BUYER.key,
        "node": NODE.key,
        "round": RoundNumber(shard="main", epoch=3, number=41),
        "currency": "USD",
        "lots": 5,
        "price": 80_000,
        "node_price": 78_000,
        "path_charge": 2_000,
        "fee_ppm": 10_000,
        "rate": 50,
        "zone": "cn-gd-shantou",
        "from_us": NOW_US,
        "expires_us": NOW_US + 600 * SECOND,
        "settle_by_us": NOW_US + 900 * SECOND,
        "take_or_pay_ppm": 0,
        "payment": PAYMENT,
        "package": None,
        "certificate_sha256": digest("certificate"),
        "sealing_key": digest("sealing"),
    }
    return Award(**{**fields, **changes})


def market_terms(**changes: Any) -> MarketTerms:
    """Return the terms of a market that takes 1 %."""
    fields: dict[str, Any] = {
        **head(MARKET),
        "currency": "USD",
        "fee_ppm": 10_000,
        "round_us": SECOND,
        "period_us": PERIOD_US,
        "award_life_max_us": 3_600 * SECOND,
        "dispute_us": 300 * SECOND,
        "take_or_pay_min_ppm": 0,
        "orders_open_max": 1_000,
        "deposit_min": 1_000_000,
    }
    return MarketTerms(**{**fields, **changes})


def network_map(**changes: Any) -> NetworkMap:
    """Return a map under which `offer()` meets `all_limits()`."""
    fields: dict[str, Any] = {
        **head(MARKET),
        "zones": (
            MapZone(
                name="cn-gd-shantou",
                country="cn",
                position=Position(latitude=23_354_100, longitude=116_681_900),
            ),
            MapZone(name="cn-gz-guian", country="cn"),
            MapZone(name="sg", country="sg", position=Position(latitude=-1, longitude=103_819_800)),
        ),
        "paths": (
            MapPath(origin="sg", zone="cn-gd-shantou", round_trip_ms=62, charge=2_000),
            MapPath(origin="sg", zone="cn-gz-guian"),
        ),
        "corridors": (
            Corridor(
                name="open-seas", data_origin="sg", zones=("cn",), data_class=DataClass.PUBLIC
            ),
            Corridor(
                name="shantou-2026",
                data_origin="sg",
                zones=("cn-gd", "cn-gz-guian"),
                data_class=DataClass.PERSONAL,
                retention=Retention.DAY,
                attestation="sev-snp",
            ),
        ),
    }
    return NetworkMap(**{**fields, **changes})


def job_open(**changes: Any) -> JobOpen:
    """Return an opening of job 1."""
    fields: dict[str, Any] = {
        **head(BUYER),
        "award": digest("award"),
        "job": 1,
        "certificate_sha256": digest("certificate"),
        "sealing_key": digest("sealing"),
        "stream_key": digest("stream"),
        "service": Service.CHAT,
        "output_tokens_max": 256,
        "sealed_request": b"sealed" * 20,
    }
    return JobOpen(**{**fields, **changes})


def voucher(**changes: Any) -> Voucher:
    """Return a voucher for 72 standard tokens."""
    fields: dict[str, Any] = {
        **head(BUYER),
        "award": digest("award"),
        "node": NODE.key,
        "standard_tokens": 72,
        "usage": Usage(prompt_tokens=32, output_tokens=64),
        "job": digest("job"),
        "transcript": digest("transcript"),
    }
    return Voucher(**{**fields, **changes})


def receipt(**changes: Any) -> Receipt:
    """Return the receipt of a job of 72 standard tokens."""
    fields: dict[str, Any] = {
        **head(NODE),
        "job": digest("job"),
        "award": digest("award"),
        "model": digest("model"),
        "buyer": BUYER.key,
        "finish_reason": FinishReason.STOP,
        "usage": Usage(prompt_tokens=32, cached_tokens=0, output_tokens=64, reasoning_tokens=8),
        "standard_tokens": 72,
        "award_standard_tokens": 72,
        "currency": "USD",
        "price": 80_000,
        "cost": 5_760,
        "opened_us": NOW_US,
        "first_token_us": NOW_US + 200_000,
        "closed_us": NOW_US + 900_000,
        "energy_mj": 4_200,
        "carbon_mg_per_lot": 120,
        "chunks": 9,
        "transcript": digest("transcript"),
    }
    return Receipt(**{**fields, **changes})


def redemption(**changes: Any) -> Redemption:
    """Return a claim of 72 standard tokens."""
    fields: dict[str, Any] = {
        **head(NODE),
        "award": digest("award"),
        "voucher": b"envelope of a voucher",
        "standard_tokens": 72,
        "final": True,
        "stood_ready": False,
    }
    return Redemption(**{**fields, **changes})


def contest(**changes: Any) -> Contest:
    """Return a buyer's letting go of an award."""
    return Contest(**{**head(BUYER), "award": digest("award"), **changes})


def endpoint(**changes: Any) -> Endpoint:
    """Return a node's endpoint."""
    fields: dict[str, Any] = {
        **head(NODE),
        "certificate_sha256": digest("certificate"),
        "sealing_key": digest("sealing"),
        "addresses": ("127.0.0.1:7710",),
        "expires_us": NOW_US + 3_600 * SECOND,
    }
    return Endpoint(**{**fields, **changes})


def query(**changes: Any) -> Query:
    """Return a buyer's query for two orders."""
    fields: dict[str, Any] = {
        **head(BUYER),
        "market": MARKET.key,
        "subject": Subject.ORDERS,
        "ids": (digest("order"), digest("order 2")),
        "nonce": bytes(range(16)),
        "round": None,
        "order": None,
    }
    return Query(**{**fields, **changes})


def order_cancel(**changes: Any) -> OrderCancel:
    """Return a cancellation of one order."""
    return OrderCancel(**{**head(BUYER), "orders": (digest("order"),), **changes})


def one_of_each() -> list[tuple[Message, Identity]]:
    """Return a message of every signed kind with its signer."""
    return [
        (model(), MARKET),
        (market_terms(), MARKET),
        (network_map(), MARKET),
        (endpoint(), NODE),
        (offer(), NODE),
        (order(), BUYER),
        (order_batch(), BUYER),
        (order_cancel(), BUYER),
        (round_head(), MARKET),
        (award(), MARKET),
        (job_open(), BUYER),
        (voucher(), BUYER),
        (receipt(), NODE),
        (redemption(), NODE),
        (contest(), BUYER),
        (query(), BUYER),
    ]
