"""Counting a node's tokens again, with the model's own tokenizer where it is at hand.

A buyer signs for no more tokens than it can find in what it received. With the tokenizer that the
model pins by hash, that is the canonical count of the text; without it, only what no tokenizer
could pass: a token is at least one byte. Tokens that leave no text are allowed for: the one that
ends an answer, those of a stop sequence, which the engine holds back, and the marks round a call of
a tool, which it reads out of what the model wrote.
"""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol

CALL_MARKS_MAX = 32
"""Tokens that a model may write round the name and the arguments of one call of a tool."""


class Tokenizer(Protocol):
    """The part of a tokenizer that counting needs."""

    def count(self, text: str) -> int:
        """Return the canonical number of tokens of a text."""
        ...

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of tokens, without control tokens."""
        ...

    def visible(self, token_ids: list[int]) -> int:
        """Return how many of these tokens are no control tokens."""
        ...


class Recount:
    """The buyer's own count of one answer."""

    def __init__(self, tokenizer: Tokenizer | None, stops: list[str], choices: int = 1) -> None:
        """Start counting an answer; `stops` are the request's stop sequences."""
        self._tokenizer = tokenizer
        self._hidden = choices * (1 + max((self._most(stop) for stop in stops), default=0))
        self._choices = choices
        self._text: list[str] = []
        self._token_ids: list[int] | None = []
        self._bound = 0
        self.claimed: int = 0

    @property
    def text(self) -> str:
        """Everything that arrived."""
        return "".join(self._text)

    @property
    def is_exact(self) -> bool:
        """Whether the model's own tokenizer counts."""
        return self._tokenizer is not None

    def add(self, text: str, tokens: int, token_ids: tuple[int, ...], calls: int = 0) -> int:
        """Take in a chunk in which `calls` of tools begin; return how many tokens to sign for now.

        Pieces are counted one by one here, which is never less than the whole: the whole is
        counted at the end. From a call on, the text is not what the model wrote, and ids prove
        nothing.
        """
        before = min(self.claimed, self._bound + self._hidden)
        if calls:
            self._hidden += calls * CALL_MARKS_MAX
            self._token_ids = None
        self._text.append(text)
        self.claimed += tokens
        self._bound += self._most(text)
        if self._token_ids is not None and len(token_ids) == tokens:
            self._token_ids.extend(token_ids)
        elif tokens:
            self._token_ids = None
        return min(self.claimed, self._bound + self._hidden) - before

    def final(self, claimed: int) -> int:
        """Return how many tokens of the whole answer to sign for, at most `claimed`."""
        told = self._told_for_the_text()
        most = self._most(self.text) if told is None else told
        return min(claimed, most + self._hidden)

    def is_forged(self) -> bool:
        """Whether the token ids that were told cannot give the text that was sent."""
        decoded, at = self._decoded(), 0
        if decoded is None:
            return False
        for piece in self._text:  # engines take marks out of the text, so there may be more
            found = decoded.find(piece, at)
            if found < 0:
                return True
            at = found + len(piece)
        return False

    def _told_for_the_text(self) -> int | None:
        """Return how many tokens were told of, where they give the text and hardly more.

        An engine may split text in another way than the tokenizer would; then the ids count. What
        follows the text is a stop sequence that was held back, or nothing.
        """
        decoded = self._decoded()
        if decoded is None or not decoded.startswith(self.text):
            return None
        assert self._tokenizer is not None
        held_back = self._most(decoded.removeprefix(self.text))
        visible = self._tokenizer.visible(self._token_ids or [])
        return visible - held_back if held_back <= self._hidden else None

    def _decoded(self) -> str | None:
        """Return the text of the ids that were told; None where nothing can be said of them."""
        if self._tokenizer is None or not self._token_ids or self._choices > 1:
            return None  # the pieces of several choices come mixed
        return self._tokenizer.decode(self._token_ids)

    def _most(self, text: str) -> int:
        if self._tokenizer is not None:
            return self._tokenizer.count(text)
        return len(text.encode())


class LibraryTokenizer:
    """A tokenizer file (tokenizer.json) under the `tokenizers` library."""

    def __init__(self, file: bytes) -> None:
        """Load the file.

        Raises:
            ImportError: the library is not installed (`pip install 'swatow[recount]'`).
            ValueError: the file is none.
        """
        from tokenizers import Tokenizer as Library

        try:
            self._library: Any = Library.from_str(file.decode())
        except Exception as error:  # noqa: BLE001 - it is what the library raises
            raise ValueError(f"not a tokenizer file: {error}") from None
        added = self._library.get_added_tokens_decoder()
        self._control = {number for number, token in added.items() if token.special}

    def count(self, text: str) -> int:
        """Return the canonical number of tokens of a text."""
        return len(self._library.encode(text, add_special_tokens=False).ids)

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of tokens, without control tokens."""
        return str(self._library.decode(token_ids, skip_special_tokens=True))

    def visible(self, token_ids: list[int]) -> int:
        """Return how many of these tokens are no control tokens."""
        return sum(token not in self._control for token in token_ids)


class TokenizerCache:
    """Tokenizer files by SHA-256, in a directory that all wallets of a user may share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loaded: dict[bytes, LibraryTokenizer | None] = {}
        self._given_up: set[bytes] = set()

    def get(self, digest: bytes | None) -> LibraryTokenizer | None:
        """Return the tokenizer if its file and the library are at hand."""
        if digest is None:
            return None
        if self._loaded.get(digest) is None:
            path = self._path(digest)
            self._loaded[digest] = _load(path.read_bytes()) if path.exists() else None
        return self._loaded[digest]

    def missing(self, digest: bytes) -> bool:
        """Whether the file should be fetched: it is not here, and the library is."""
        if digest in self._given_up or self._path(digest).exists():
            return False
        import importlib.util

        return importlib.util.find_spec("tokenizers") is not None

    def give_up(self, digest: bytes) -> None:
        """Do not ask for this file again: nobody has it."""
        self._given_up.add(digest)

    def keep(self, digest: bytes, file: bytes) -> None:
        """Keep a file whose hash was checked."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._directory, suffix=".partial", delete=False) as partial:
            partial.write(file)
        Path(partial.name).rename(self._path(digest))  # others may be keeping the same one

    def _path(self, digest: bytes) -> Path:
        return self._directory / f"{digest.hex()}.json"


def _load(file: bytes) -> LibraryTokenizer | None:
    try:
        return LibraryTokenizer(file)
    except (ImportError, ValueError):
        return None
