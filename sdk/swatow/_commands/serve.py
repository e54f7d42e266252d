"""`swatow gateway`: the exchange as an OpenAI API on this machine."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from swatow._commands.common import Directory, open_client


def gateway(
    *,
    listen: str | None = None,
    market: str | None = None,
    max_price: str | None = None,
    order_lots: int = 20,
    take_or_pay: str | None = None,
    gateway_key_file: Path | None = None,
    directory: Directory = None,
    log_level: str | None = None,
    until_stdin_closes: Annotated[bool, Parameter(negative="", show=False)] = False,
) -> None:
    """Serve the exchange as an OpenAI API on this machine until interrupted.

    Example: swatow gateway --market KEY@127.0.0.1:7700 --max-price 0.20

    The first line on standard output is the base URL. Clients send the key in the file
    gateway.key of the wallet's directory as their API key.

    Parameters
    ----------
    listen
        host:port, a loopback address. [127.0.0.1:8800]
    market
        KEY@host:port; else from the settings.
    max_price
        Most that is paid for a million standard tokens, where a request does not say.
    order_lots
        Lots that are ordered at a time; what is not used is released again.
    take_or_pay
        Share of what is awarded that is paid for even if it is not used, 0 to 1.
    gateway_key_file
        File with the API key; made if missing.
    directory
        The wallet. [~/.swatow/buyer]
    log_level
        debug, info, warning or error. [info]
    """
    from swatow.gateway.server import serve_gateway
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.service import run_until_stopped

    given = {
        "listen": listen,
        "gateway_key_file": gateway_key_file,
        "log_level": log_level,
        "order_lots": order_lots,
        "take_or_pay": take_or_pay,
    }

    async def serve(stop: asyncio.Event) -> None:
        client = open_client(market, directory, max_price, **given)
        logs.configure(client.settings.log_level)
        await serve_gateway(client, stop, lambda url: print(url, flush=True))

    asyncio.run(run_until_stopped(serve, until_stdin_closes=until_stdin_closes))
