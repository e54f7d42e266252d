"""`swatow market run`: the market process. Heavy imports stay inside."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from swatow_market.commands.common import Directory


def run(
    *,
    directory: Directory = None,
    listen: str | None = None,
    advertise: str | None = None,
    network: str | None = None,
    currency: str | None = None,
    round_ms: int | None = None,
    fee_ppm: int | None = None,
    award_life_max_s: int | None = None,
    dispute_s: int | None = None,
    log_level: str | None = None,
    until_stdin_closes: Annotated[bool, Parameter(negative="", show=False)] = False,
) -> None:
    """Run a market until interrupted.

    Example: swatow market run --directory ./market --listen 0.0.0.0:7700

    The first line on standard output is the market's address, KEY@host:port, which nodes and
    buyers need; it is also in the file `address` of the directory.

    Parameters
    ----------
    directory
        Holds key, database, model files and config.toml; made if missing. [~/.swatow/market]
    listen
        host:port of the gRPC server; port 0 takes a free one. [127.0.0.1:7700]
    advertise
        host:port under which others reach it, where that differs.
    network
        Name that all parties put into their messages. [local]
    currency
        ISO 4217 code of all prices. [USD]
    round_ms
        Time between two rounds, 200 to 15000. [1000]
    fee_ppm
        The market's part of what nodes earn, in millionths. [10000]
    award_life_max_s
        Longest time in which an award may be drawn upon. [3600]
    dispute_s
        How long after its end an award's vouchers are redeemed. [300]
    log_level
        debug, info, warning or error. [info]
    """
    from swatow_market.config import MarketSettings
    from swatow_market.service.market import open_market, serve_market
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.clock import now_us, random_bytes
    from swatow_protocol.shell.keyfile import load_or_create_key
    from swatow_protocol.shell.service import run_until_stopped
    from swatow_protocol.shell.settings import load, role_directory

    home = role_directory("market", directory)
    given = {
        "listen": listen,
        "advertise": advertise,
        "network": network,
        "currency": currency,
        "round_ms": round_ms,
        "fee_ppm": fee_ppm,
        "award_life_max_s": award_life_max_s,
        "dispute_s": dispute_s,
        "log_level": log_level,
    }
    settings = load(MarketSettings, home, given).settings
    logs.configure(settings.log_level)

    def on_ready(address: str) -> None:
        (home / "address").write_text(address + "\n", encoding="ascii")
        print(address, flush=True)

    async def serve(stop: asyncio.Event) -> None:
        identity = load_or_create_key(home / "key")
        market = await open_market(
            settings, home, identity, now_us=now_us, random_bytes=random_bytes
        )
        await serve_market(settings, market, stop, on_ready)

    asyncio.run(run_until_stopped(serve, until_stdin_closes=until_stdin_closes))
