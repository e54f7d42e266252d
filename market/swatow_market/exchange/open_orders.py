"""The open orders of a book: changed one by one, taken by rounds in columns.

New orders wait in a list until the next round adds them to the columns, so a round costs no Python
for each order that was there before.
"""

from dataclasses import replace

import numpy as np

from swatow_market.exchange.orders import (
    BookOrder,
    Ints,
    OrderColumns,
    Signatures,
    joined,
    starts,
)

SIGNATURES_SPARE = 1_024
"""Signatures that nobody uses any more are forgotten when there are so many more than used ones
that half of them, and these, would be spare."""


class OpenOrders:
    """Orders by id. The columns hold all of them but those that are new since `columns()`."""

    def __init__(self) -> None:
        self._signatures = Signatures()
        self._columns = self._signatures.columns([])
        self._all: dict[bytes, BookOrder] = {}
        self._new: dict[bytes, BookOrder] = {}
        self._dropped: set[bytes] = set()

    def __len__(self) -> int:
        """Count them."""
        return len(self._all)

    def __contains__(self, order: bytes) -> bool:
        """Tell whether an order is open."""
        return order in self._all

    def put(self, order: BookOrder) -> None:
        """Add an order; it takes the place of one with its id."""
        if order.id in self._all and order.id not in self._new:
            self._dropped.add(order.id)
            self.columns()
        self._all[order.id] = self._new[order.id] = order

    def drop(self, order: bytes) -> BookOrder | None:
        """Take out an order; return it as it was put."""
        found = self._all.pop(order, None)
        if found is not None and self._new.pop(order, None) is None:
            self._dropped.add(order)
        return found

    def columns(self) -> OrderColumns:
        """Return all open orders."""
        if self._dropped:
            gone = self._dropped
            kept = [entry.id not in gone for entry in self._columns.entries]
            self._columns = self._columns.only(np.array(kept, np.bool_))
            self._dropped = set()
        if self._new:
            self._columns = _added(self._columns, self._signatures.columns([*self._new.values()]))
            self._new = {}
        self._forget_signatures()
        return self._columns

    def expired(self, now_us: int) -> list[bytes]:
        """Return the orders whose time is over."""
        columns = self.columns()
        over = np.flatnonzero(columns.expires_us <= now_us).tolist()
        return [columns.entries[number].id for number in over]

    def settle(self, columns: OrderColumns, filled: Ints, told: Ints) -> list[BookOrder]:
        """After a round: take off what was filled, and carry over what was in the book.

        Args:
            columns: what `columns()` returned before the round, in any order; since then orders
                may have come and gone.
            filled: (r,) lots of each row.
            told: (n,) what buyers were told.

        Returns:
            Orders that are filled whole, as they were put.
        """
        assert len(columns) == len(self._columns), "a round settles what it has taken"
        whole = columns.totals(columns.lots - filled) == 0
        done = [columns.entries[number] for number in np.flatnonzero(whole).tolist()]
        for order in done:
            self._all.pop(order.id, None)
            self._dropped.discard(order.id)
        everyone = np.ones(len(columns), np.bool_)
        self._columns = replace(columns, told=told, carried=everyone).less(filled)
        return done

    def _forget_signatures(self) -> None:
        used = np.unique(self._columns.signature)
        if len(self._signatures) > 2 * len(used) + SIGNATURES_SPARE:
            self._signatures = Signatures()
            again = self._signatures.columns(
                [
                    replace(self._columns.entries[0], terms=self._columns.terms[each], curve=None)
                    for each in used
                ]
            )
            number = np.zeros(len(self._columns.terms), np.int64)
            number[used] = again.signature
            self._columns = replace(
                self._columns, terms=again.terms, signature=number[self._columns.signature]
            )


def _added(columns: OrderColumns, more: OrderColumns) -> OrderColumns:
    """Return both; `more` knows all signatures."""
    both = (columns, more)
    return OrderColumns(
        entries=columns.entries + more.entries,
        terms=more.terms,
        signature=joined(each.signature for each in both),
        carried=np.concatenate([each.carried for each in both]),
        told=joined(each.told for each in both),
        expires_us=joined(each.expires_us for each in both),
        deadline_us=joined(each.deadline_us for each in both),
        start=starts(np.concatenate([np.diff(each.start) for each in both])),
        price=joined(each.price for each in both),
        lots=joined(each.lots for each in both),
        row=joined(each.row for each in both),
    )
