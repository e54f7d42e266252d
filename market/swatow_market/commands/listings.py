"""`swatow market models` and `map`: what the market lists. Heavy imports stay inside."""

from swatow_market.commands.common import Directory, Json


def models(*, directory: Directory = None, json: Json = False) -> None:
    """Show the model files of a market: the built-in ones, and `models/*.toml` in its directory.

    Example: swatow market models
    """
    from swatow_market.service.catalogue import model_files, read_model_file
    from swatow_protocol.shell.settings import role_directory
    from swatow_protocol.shell.terminal import Terminal

    home = role_directory("market", directory)
    read = [read_model_file(name, text) for name, text in model_files(home / "models").items()]
    terminal = Terminal(as_json=json)
    if json:
        plain = [
            {key: value.hex() if isinstance(value, bytes) else value for key, value in each.items()}
            for each in read
        ]
        terminal.data({"models": plain})
        return
    rows = [
        (
            each["name"],
            each["precision"],
            str(each["context_tokens"]),
            f"{each['prompt_weight'] / 1000:g} / {each['cached_weight'] / 1000:g}",
            each["weights_sha256"].hex()[:16],
        )
        for each in read
    ]
    heads = ("model", "precision", "context", "weight prompt / cached", "weights sha256")
    terminal.table("Models", heads, rows)


def network_map(*, directory: Directory = None, json: Json = False) -> None:
    """Show the network map as the settings state it, and that it can be used.

    Example: swatow market map

    Zones, paths and corridors are the tables [[zones]], [[paths]] and [[corridors]] of config.toml;
    the market signs them when it starts.
    """
    from swatow_market.config import MarketSettings
    from swatow_market.service.network import stated_map
    from swatow_protocol.identity import KEY_BYTES
    from swatow_protocol.shell.network_map import show_map
    from swatow_protocol.shell.settings import load, role_directory
    from swatow_protocol.shell.terminal import Terminal

    settings = load(MarketSettings, role_directory("market", directory)).settings
    unsigned = stated_map(settings, bytes(KEY_BYTES), 0)
    show_map(Terminal(as_json=json), unsigned, {})
