"""The commands of a market operator: `swatow market ...`. Each module has a few."""

from cyclopts import App

from swatow_market.commands.books import accounts, deposit
from swatow_market.commands.listings import models, network_map
from swatow_market.commands.rounds import replay, rounds, verify
from swatow_market.commands.serve import run

app = App(name="market", help="Run a market, and keep its books.")
for command in (run, deposit, accounts, rounds, verify, replay, models):
    app.command(command)
app.command(network_map, name="map")
