"""The tokenizer of a GGUF file, as the tokenizer.json that the `tokenizers` library reads.

Only byte-level BPE vocabularies whose splitting rule is known here are translated; for others the
answer is None and tokens are counted by the engine alone. GGUF's keys: ggml docs/gguf.md; splitting
rules: llama.cpp src/llama-vocab.cpp.
"""

import json
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
_SPLITTING: dict[str, dict[str, Any]] = {
    "gpt-2": _BYTE_LEVEL,
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, _BYTE_LEVEL],
    },
}
_CONTROL, _USER_DEFINED = 3, 4  # token types that are matched as a whole


def cached_tokenizer(gguf: Path, weights_sha256: bytes, directory: Path) -> bytes | None:
    """Return the tokenizer file of a GGUF; reading it takes seconds, so the result is kept."""
    path = directory / f"{weights_sha256.hex()}.json"
    if path.exists():
        return path.read_bytes() or None
    tokenizer = read_tokenizer(gguf)
    directory.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(tokenizer or b"")
    partial.rename(path)
    return tokenizer


def read_tokenizer(gguf: Path) -> bytes | None:
    """Translate the vocabulary of a GGUF; None where its kind is not known here."""
    return _translate(_fields(gguf))


def describe(gguf: Path) -> dict[str, Any]:
    """Return what a market's model file says of a GGUF, hashes in hexadecimal."""
    fields = _fields(gguf)
    tokenizer, template = _translate(fields), fields("tokenizer.chat_template")
    with gguf.open("rb") as file:
        weights = file_digest(file, "sha256").hexdigest()
    return {
        "weights_sha256": weights,
        "tokenizer_sha256": sha256(tokenizer).hexdigest() if tokenizer else "",
        "template_sha256": sha256(template.encode()).hexdigest() if template else "",
        "context_tokens": fields(f"{fields('general.architecture')}.context_length"),
    }


def _translate(fields: Any) -> bytes | None:
    splitting = _SPLITTING.get(fields("tokenizer.ggml.pre"))
    if fields("tokenizer.ggml.model") != "gpt2" or splitting is None:
        return None
    tokens: list[str] = fields("tokenizer.ggml.tokens")
    types: list[int] = fields("tokenizer.ggml.token_type")
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == _CONTROL,
        }
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (_CONTROL, _USER_DEFINED)
    ]
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": splitting,
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ", 1) for merge in fields("tokenizer.ggml.merges")],
        },
    }
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(gguf: Path) -> Any:
    from gguf import GGUFReader

    reader = GGUFReader(gguf)

    def field(name: str) -> Any:
        found = reader.get_field(name)
        return found.contents() if found is not None else None

    return field
