"""The commands of a buyer. Each module has a few; heavy imports stay inside them."""

from importlib.metadata import version as distribution_version

from cyclopts import App

from swatow._commands.batch import batch
from swatow._commands.explain import explain
from swatow._commands.local import config, keys, version
from swatow._commands.offers import offers
from swatow._commands.orders import cancel, contest, order, orders
from swatow._commands.prices import prices
from swatow._commands.serve import gateway
from swatow._commands.trade import chat, network_map, wallet

app = App(
    name="swatow",
    help="An open exchange for inference tokens.",
    version=lambda: distribution_version("swatow"),
)
for command in (
    chat,
    order,
    batch,
    orders,
    cancel,
    contest,
    offers,
    prices,
    explain,
    wallet,
    gateway,
    keys,
    config,
    version,
):
    app.command(command)
app.command(network_map, name="map")
