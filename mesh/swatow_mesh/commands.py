"""The commands of the mesh: `swatow up`. Heavy imports stay inside them."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def up(
    prompt: str = "What is the capital of France?",
    *,
    once: Annotated[bool, Parameter(negative="")] = False,
    directory: Annotated[Path | None, Parameter(name=["--directory", "-d"])] = None,
    zone: str = "cn-gd-shantou",
    price: str = "0.08",
    max_price: str = "0.20",
    money: str = "5.00",
    gateway_port: int = 8800,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")] = False,
) -> None:
    """Run a market, a node with a real small model and a gateway, and buy one completion.

    Example: swatow up

    Example: swatow up "Write a haiku about the sea." --once

    Parameters
    ----------
    prompt
        What to ask the model.
    once
        Stop after the completion; else everything serves until interrupted.
    directory
        Keys, ledger and logs; made if missing, used again if there. [~/.swatow/up]
    zone
        Where the node says that it stands.
    price
        What the node asks, in currency units for a million standard tokens.
    max_price
        What the buyer pays at most.
    money
        What is deposited for the buyer when it has less than half of it.
    gateway_port
        Port of the OpenAI API on 127.0.0.1; 0 takes a free one.
    """
    from swatow_mesh.up import Plan, run
    from swatow_protocol.shell import logs
    from swatow_protocol.shell.service import run_until_stopped
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    logs.configure("warning")
    plan = Plan(
        directory=role_directory("up", directory),
        prompt=prompt,
        zone=zone,
        price=price,
        max_price=max_price,
        money=money,
        gateway_port=gateway_port,
        once=once,
    )
    terminal = Terminal(as_json=json)
    asyncio.run(run_until_stopped(lambda stop: run(plan, terminal, stop)))
