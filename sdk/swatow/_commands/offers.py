"""`swatow offers`: which nodes offer what, now or as it changes."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from swatow._commands.common import Directory, Json, ask
from swatow._commands.orders import DIGITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swatow._client import AsyncClient
    from swatow._config import BuyerSettings
    from swatow._offer_watch import OfferNews
    from swatow_protocol.messages import Offer
    from swatow_protocol.shell.terminal import Terminal


def offers(
    *,
    watch: Annotated[bool, Parameter(name="--watch", negative="")] = False,
    carrier: tuple[str, ...] = (),
    zone: str | None = None,
    market: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Show which nodes offer what, at which price.

    Examples:

        swatow offers --market KEY@127.0.0.1:7700

        swatow offers --watch --carrier mqtts://reader:PASSWORD@broker.example?ca=ca.pem

    Without --watch, the market's live offers. With it, offers as they are heard over the carriers,
    one a line, until interrupted; no market is asked.

    Parameters
    ----------
    watch
        Listen until interrupted.
    carrier
        URL of a carrier to listen on; else the setting `carriers`.
    zone
        Only nodes of this zone.
    market
        KEY@host:port; else from the settings.
    directory
        The wallet. [~/.swatow/buyer]
    """
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.terminal import Terminal

    terminal = Terminal(as_json=json)
    if watch:
        logs.configure("warning")
        asyncio.run(_watch(terminal, _settings(carrier, directory), zone))
    else:
        _list(terminal, market, directory, zone)


def _settings(carrier: tuple[str, ...], directory: Directory) -> "BuyerSettings":
    from swatow._config import BuyerSettings
    from swatow.errors import InvalidValue
    from swatow_protocol.shell.settings import load, role_directory

    home = role_directory("buyer", directory)
    given = {"carriers": carrier} if carrier else {}
    settings = load(BuyerSettings, home, given).settings
    if not settings.carriers:
        raise InvalidValue("carrier", "which one? Give a URL, as in mqtts://broker.example")
    return settings


async def _watch(terminal: "Terminal", settings: "BuyerSettings", zone: str | None) -> None:
    from swatow._offer_watch import watching
    from swatow_protocol.shell.clock import now_us, random_bytes

    identifier = f"swatow-{random_bytes(8).hex()}"
    async with watching(
        settings.carriers,
        network=settings.network,
        identifier=identifier,
        now_us=now_us,
        zone=zone,
    ) as heard:
        terminal.note("listening for offers; end with Ctrl-C")
        while True:
            _show_news(terminal, await heard.next())


def _show_news(terminal: "Terminal", news: "OfferNews") -> None:
    if terminal.as_json:
        fact = {"offer": _facts(news.offer)} if news.offer else {"gone": news.node.hex()}
        terminal.data(fact)
    elif news.offer is None:
        terminal.text(f"{news.node.hex()[:DIGITS]}\t{news.zone}\tgone")
    else:
        terminal.text("\t".join(_row(news.offer, {})))


def _list(terminal: "Terminal", market: str | None, directory: Directory, zone: str | None) -> None:
    async def listed(client: "AsyncClient") -> "tuple[list[Offer], Mapping[bytes, str]]":
        found = [signed.message for signed in await client.offers()]
        return found, (await client.catalogue()).names

    found, names = ask(market, directory, listed)
    shown = [offer for offer in found if zone in (None, offer.zone)]
    shown.sort(key=lambda offer: (offer.model, offer.steps[0].price if offer.steps else 0))
    if terminal.as_json:
        terminal.data({"offers": [_facts(offer) for offer in shown]})
        return
    heads = ("node", "zone", "model", "from", "lots", "until")
    terminal.table("Offers", heads, [_row(offer, names) for offer in shown])


def _row(offer: "Offer", names: "Mapping[bytes, str]") -> tuple[str, ...]:
    from swatow_protocol.units import format_price, format_time

    price = f"{format_price(offer.steps[0].price)} {offer.currency}" if offer.steps else "later"
    return (
        offer.sender.hex()[:DIGITS],
        offer.zone,
        names.get(offer.model, offer.model.hex()[:DIGITS]),
        price,
        str(sum(step.lots for step in offer.steps)),
        format_time(offer.expires_us),
    )


def _facts(offer: "Offer") -> dict[str, Any]:
    return {
        "node": offer.sender.hex(),
        "zone": offer.zone,
        "model": offer.model.hex(),
        "currency": offer.currency,
        "steps": [{"price": step.price, "lots": step.lots} for step in offer.steps],
        "sequence": offer.sequence,
        "expires_us": offer.expires_us,
        "addresses": list(offer.addresses),
    }
