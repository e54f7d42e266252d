"""The models that a market lists: TOML files, signed once and kept in the database.

A listed model never changes: what is traded under a name is what was listed under it. Other
weights, weights of tokens or services are another name.
"""

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from swatow_market.ledger.database import Database
from swatow_market.ledger.schema import models
from swatow_protocol.envelope import Signed, sign, verify
from swatow_protocol.errors import ConfigError, MessageRefused
from swatow_protocol.identity import Identity
from swatow_protocol.messages import Message, Model

_HEAD = set(Message.__struct_fields__)
_HASHES = ("weights_sha256", "tokenizer_sha256", "template_sha256")


def read_model_file(name: str, text: str) -> dict[str, Any]:
    """Read a model's TOML file; hashes are written in hexadecimal, "" where not public.

    Raises:
        ConfigError: no TOML, or a field is missing, unknown or outside its limits.
    """
    try:
        fields = tomllib.loads(text)
        fields |= {key: _hash(key, fields.get(key)) for key in _HASHES}
        _model(fields, bytes(32), "check", 0)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model file {name}: {_with_names(str(error))}") from None
    return fields


def model_files(directory: Path) -> dict[str, str]:
    """Return name -> text of the built-in model files and those in `directory`.

    Raises:
        ConfigError: a file cannot be read, or is no text.
    """
    built_in = files("swatow_market") / "catalogue"
    found = {each.name: _text(each) for each in built_in.iterdir() if _is_toml(each)}
    if directory.is_dir():
        found |= {each.name: _text(each) for each in sorted(directory.glob("*.toml"))}
    return found


async def list_models(
    database: Database, directory: Path, identity: Identity, network: str, now_us: int
) -> dict[bytes, Signed[Model]]:
    """List every model of the files, signing those that are new; return all by id.

    Raises:
        ConfigError: a file is bad, or differs from what is listed under its model's name; or what
            is listed is not this market's.
    """
    wanted = [read_model_file(name, text) for name, text in model_files(directory).items()]
    async with database.writing() as connection:
        rows = (await connection.execute(select(models.c.name, models.c.envelope))).all()
        try:
            listed = {
                name: verify(envelope, Model, network=network, now_us=None, sender=identity.key)
                for name, envelope in rows
            }
        except MessageRefused as refusal:
            raise ConfigError(f"the database is of another market: {refusal}") from None
        for fields in wanted:
            known = listed.get(fields["name"])
            if known is None:
                signed = sign(_model(fields, identity.key, network, now_us), identity)
                row = {"id": signed.id, "name": fields["name"], "envelope": signed.envelope}
                await connection.execute(models.insert(), row)
                listed[fields["name"]] = signed
            elif _model(fields, identity.key, network, known.message.issued_us) != known.message:
                raise ConfigError(
                    f"model {fields['name']}: is listed with other values; a listed model never "
                    "changes, list the new one under another name"
                )
    return {signed.id: signed for signed in listed.values()}


def _model(fields: dict[str, Any], sender: bytes, network: str, issued_us: int) -> Model:
    unknown = fields.keys() - (set(Model.__struct_fields__) - _HEAD)
    if unknown:
        raise ValueError(f"unknown field {', '.join(sorted(unknown))}")
    head = {"version": 1, "kind": "model", "network": network}
    whole = {**head, "sender": sender, "issued_us": issued_us, **fields}
    ordered = [whole.get(name) for name in Model.__struct_fields__]
    return msgspec.convert(ordered, Model)


def _hash(key: str, digits: object) -> bytes | None:
    if digits in (None, ""):
        return None
    try:
        return bytes.fromhex(digits)  # type: ignore[arg-type]  # what is no text is refused too
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key}: {error}") from None


def _with_names(problem: str) -> str:
    """Name fields as the file does: messages count them, since they travel as arrays."""
    return re.sub(r"\$\[(\d+)\]", lambda found: Model.__struct_fields__[int(found[1])], problem)


def _text(file: Any) -> str:
    try:
        return str(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"model file {file.name}: {error}") from None


def _is_toml(resource: Any) -> bool:
    return str(resource.name).endswith(".toml")
