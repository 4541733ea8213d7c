"""Which rows of a batch are chosen."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice
from operator import itemgetter, le
from typing import Any, TypeVar

_T = TypeVar("_T")


class RowMask(Sequence[int]):
    """All rows of a batch, in order, except an excluded set."""

    def __init__(self, count: int, excluded: Iterable[int]) -> None:
        self._kept = bytearray(b"\1") * count
        for row in excluded:
            self._kept[row] = 0

    def __len__(self) -> int:
        return self._kept.count(1)

    def __iter__(self) -> Iterator[int]:
        return compress(range(len(self._kept)), self._kept)

    def __getitem__(self, at: Any) -> Any:
        return [*self][at]

    def apply(self, column: Iterable[_T]) -> list[_T]:
        """What of a column is in these rows."""
        return [*compress(column, self._kept)]

    def rank(self, row: int) -> int:
        """How many of them come before the row."""
        return self._kept.count(1, 0, row)


def select(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """What of a column is in these rows."""
    if isinstance(rows, RowMask):
        return rows.apply(column)
    return itemgetter(*rows)(column) if len(rows) > 1 else [column[row] for row in rows]


def is_sorted(rows: Sequence[int]) -> bool:
    """Whether rows are in their order."""
    if isinstance(rows, RowMask) or not rows:
        return True
    return rows[0] >= 0 and all(map(le, rows, islice(rows, 1, None)))


def count_within(ends: Sequence[int], first: int, room: int, growth: int) -> int:
    """How many of the records that end there, in bytes from zero on, are before `first` or fit
    behind it, where each grows."""
    return first + bisect_right(
        range(1, len(ends) - first),
        room,
        key=lambda taken: ends[first + taken] - ends[first] + taken * growth,
    )
