"""`swatow market deposit` and `accounts`: the operator's books. Heavy imports stay inside."""

import asyncio

from swatow_market.commands.common import Directory, Json


def deposit(
    buyer: str,
    amount: str,
    *,
    reference: str | None = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Credit a buyer with money that came in outside the system.

    Example: swatow market deposit 3f0a...c1 5.00 --reference invoice-17

    Parameters
    ----------
    buyer
        The buyer's public key in hexadecimal (`swatow keys show`).
    amount
        Amount in the market's currency.
    reference
        Names the deposit; the same buyer and reference are credited once only.
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.errors import InvalidValue
    from swatow_protocol.shell.clock import now_us, random_bytes
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money, parse_money

    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    nanos = parse_money(amount)
    try:
        key = bytes.fromhex(buyer)
    except ValueError:
        raise InvalidValue("buyer", f"{buyer!r} is not hexadecimal") from None
    name = reference.encode() if reference else random_bytes(16)
    done = asyncio.run(
        admin.deposit(settings, home, buyer=key, amount=nanos, reference=name, now_us=now_us)
    )
    terminal = Terminal(as_json=json)
    if json:
        terminal.data({"credited": done, "buyer": buyer, "amount_nanos": nanos})
    elif done:
        terminal.text(f"credited {format_money(nanos)} {settings.currency} to {buyer}")
    else:
        terminal.text(f"reference {reference} was credited before; nothing changed")


def accounts(*, directory: Directory = None, json: Json = False) -> None:
    """Show all accounts, and that they add up.

    Example: swatow market accounts --json
    """
    from swatow_market import admin
    from swatow_market.config import MarketSettings
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal
    from swatow_protocol.units import format_money

    home = role_directory("market", directory)
    settings = load(MarketSettings, home).settings
    books = asyncio.run(admin.books(settings, home))
    terminal = Terminal(as_json=json)
    if json:
        terminal.data(
            {
                "currency": books.currency,
                "accounts": [
                    {
                        "account": line.account,
                        "balance_nanos": line.balance,
                        "held_nanos": line.held,
                    }
                    for line in books.lines
                ],
                "cash_nanos": books.cash,
                "claims_nanos": books.claims,
            }
        )
        return
    rows = [
        (line.account, format_money(line.balance), format_money(line.held)) for line in books.lines
    ]
    terminal.table(f"Accounts ({books.currency})", ("account", "balance", "of it held"), rows)
    sums = f"cash {format_money(books.cash)} = all others {format_money(books.claims)}"
    if books.cash != books.claims:
        terminal.fail(f"the books do not balance: {sums}".replace(" = ", " but "))
    terminal.text(sums)
