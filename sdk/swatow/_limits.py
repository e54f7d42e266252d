"""Hard limits by name, from a request body or from options of a command."""

from collections.abc import Mapping

import msgspec

from swatow.errors import InvalidValue
from swatow_protocol.messages import Limits


def limits_of(named: Mapping[str, object], field: str) -> Limits:
    """Return the limits of an order from their names; None and absent are no limit.

    Args:
        field: where they came from, for the error.

    Raises:
        InvalidValue: an unknown name, or a limit outside its bounds; names it.
    """
    unknown = named.keys() - set(Limits.__struct_fields__)
    if unknown:
        raise InvalidValue(f"{field}.{min(unknown)}", "no such limit")
    try:
        return msgspec.convert([named.get(name) for name in Limits.__struct_fields__], Limits)
    except msgspec.ValidationError as error:
        raise InvalidValue(field, _with_names(str(error))) from None


def _with_names(message: str) -> str:
    """Replace the position of a field in a message by its name."""
    for position, name in reversed(list(enumerate(Limits.__struct_fields__))):
        message = message.replace(f"$[{position}]", name)
    return message
