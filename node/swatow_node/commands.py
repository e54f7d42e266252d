"""The commands of a data centre: `swatow node ...`. Heavy imports stay inside them."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(name="node", help="Sell the tokens of an inference engine.")

Directory = Annotated[Path | None, Parameter(name=["--directory", "-d"])]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


@app.command
def run(
    *,
    market: str | None = None,
    zone: str | None = None,
    directory: Directory = None,
    listen: str | None = None,
    advertise: str | None = None,
    network: str | None = None,
    engine: str | None = None,
    engine_url: str | None = None,
    engine_model: str | None = None,
    engine_key_file: Path | None = None,
    model: str | None = None,
    slots: int | None = None,
    price: str | None = None,
    capacity_lots: int | None = None,
    log_level: str | None = None,
    until_stdin_closes: Annotated[bool, Parameter(negative="", show=False)] = False,
) -> None:
    """Offer a model on a market and serve its jobs until interrupted.

    Example: swatow node run --market KEY@127.0.0.1:7700 --zone cn-gd-shantou --price 0.08

    Example: swatow node run --market KEY@host:7700 --zone sg --engine openai
    --engine-url http://127.0.0.1:8000/v1 --model my-model

    The first line on standard output, printed when the offer stands in the market, is the node's
    own address. SIGTERM drains: running jobs close with their receipts first.

    Parameters
    ----------
    market
        KEY@host:port, as `swatow market run` prints it.
    zone
        Where the tokens are made: cn-gd-shantou, sg.
    directory
        Holds key, journal, engine log and config.toml; made if missing. [~/.swatow/node]
    listen
        host:port of the gRPC server; port 0 takes a free one. [127.0.0.1:7710]
    advertise
        host:port under which buyers reach it, where that differs.
    network
        Name that all parties put into their messages. [local]
    engine
        embedded (a small real model that comes along) or openai (any server by URL). [embedded]
    engine_url
        Base URL of an OpenAI-compatible server.
    engine_model
        What that server calls the model; by default its first.
    engine_key_file
        File with that server's API key.
    model
        The model that is offered, as the market lists it.
    slots
        Jobs that run side by side. [4]
    price
        Currency units for a million standard tokens. [0.08]
    capacity_lots
        Lots that may be promised at any one time. [1000]
    log_level
        debug, info, warning or error. [info]
    """
    from swatow_node.config import NodeSettings
    from swatow_node.daemon import Node
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.clock import now_us, random_bytes
    from swatow_protocol.shell.keyfile import load_or_create_key
    from swatow_protocol.shell.service import run_until_stopped
    from swatow_protocol.shell.settings import load, role_directory

    home = role_directory("node", directory)
    given = {
        "market": market,
        "zone": zone,
        "listen": listen,
        "advertise": advertise,
        "network": network,
        "engine": engine,
        "engine_url": engine_url,
        "engine_model": engine_model,
        "engine_key_file": engine_key_file,
        "model": model,
        "slots": slots,
        "price": price,
        "capacity_lots": capacity_lots,
        "log_level": log_level,
    }
    settings = load(NodeSettings, home, given).settings
    logs.configure(settings.log_level)

    async def serve(stop: asyncio.Event) -> None:
        identity = load_or_create_key(home / "key")
        node = Node(settings, home, identity, now_us=now_us, random_bytes=random_bytes)
        await node.serve(stop, lambda address: print(address, flush=True))

    asyncio.run(run_until_stopped(serve, until_stdin_closes=until_stdin_closes))


@app.command
def describe(gguf: Path | None = None, *, json: Json = False) -> None:
    """Read from a GGUF file what a market's model file says of it.

    Example: swatow node describe ./model.gguf

    Parameters
    ----------
    gguf
        The file; by default the model that comes with the embedded engine.
    """
    from swatow_node.engines.gguf_tokenizer import describe as read
    from swatow_node.engines.llamacpp_child import bundled_model
    from swatow_protocol.errors import InvalidValue
    from swatow_protocol.shell.terminal import Terminal

    path = gguf or bundled_model()
    if path is None or not path.is_file():
        raise InvalidValue("gguf", f"{path or 'the embedded model'} is not there")
    facts = read(path)
    terminal = Terminal(as_json=json)
    if json:
        terminal.data(facts)
    else:
        lines = [
            f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"'
            for name, value in facts.items()
        ]
        terminal.text("\n".join(lines))
