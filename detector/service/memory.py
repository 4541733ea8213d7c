"""What is remembered of the accounts of one input partition, and what of it is saved already.

Accounts that were used since they were last saved are *dirty*, in the order of their first use, so
the next to save comes first. Those saved since are *clean*, in the order in which they were saved.
Those restored and not used since are *packed*: the bytes they were saved as, unpacked at their next
use.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice, repeat
from operator import not_
from typing import Any, TypeVar

import msgspec

from detector.rules.engine.account import FIRST, FLOOR, LAST, NEVER, STORED, Account
from detector.rules.engine.layout import Layout
from detector.wire.payments import Payments

_AccountOrNone = TypeVar("_AccountOrNone")
Saved = tuple[bytes, bytes | None]
"""An account and what it is saved as; nothing for one that is forgotten."""

FORMAT = 2
_CHUNK_SIZE = 256  # accounts
MANIFEST_KEY = b"#manifest"  # no account has a # in its name


class Manifest(msgspec.Struct, frozen=True):
    """What the saved accounts of a partition amount to.

    `as_of` is the input offset up to which (not included) all is judged, `low` that of the oldest
    use that is not saved: what is between them must be replayed. `dropped_until` is the greatest
    event time of an evicted account. `rules_version` judged the payment
    before `as_of`; `is_logged` says whether the log of versions tells so. `source` marks the input
    topic that the offsets are of: one that is recreated has another mark. `format` is that of the
    accounts.
    """

    as_of: int
    low: int
    rules_version: str
    accounts: int
    dropped_until: int = NEVER
    is_logged: bool = False
    source: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far saving may lag behind, in records and in milliseconds, and how many accounts are
    saved at a commit, and kept, at the most."""

    replay_records: int = 200_000
    interval_ms: int = 10_000
    a_commit: int = 50_000
    accounts: int = 250_000


class Memory:
    """The accounts of one partition, as of `next_offset`.

    With `partial`, what was before is not known of any account that is new.
    """

    def __init__(
        self, layout: Layout, bounds: Bounds, *, source: str = "", partial: bool = False
    ) -> None:
        self.layout = layout
        self.dirty: dict[bytes, Account] = {}
        self.next_offset = 0
        self.source = source  # the mark of the input topic
        self.rules_version = ""  # that judged the payment before
        self.is_logged = False  # that version, as that of the payment
        self.evicted = 0  # accounts, since `take_evicted`
        self.dropped_until = NEVER
        self._has_one_layout = True
        self._bounds = bounds
        self._partial = partial
        self._clean: dict[bytes, Account] = {}
        self._packed: dict[bytes, bytes] = {}
        self._stored = 0  # accounts that the topic holds
        self._to_forget: list[bytes] = []  # accounts that it is to forget
        self._times: deque[tuple[float, int]] = deque()  # when the input had come how far

    def __len__(self) -> int:
        return len(self.dirty) + len(self._clean) + len(self._packed)

    def get_or_create(self, payments: Payments) -> list[Account]:
        """The account of each payment, in their order; new ones are created, all become dirty."""
        return self._get_or_create(payments, self._new)

    def get_or_create_replayed(self, payments: Payments) -> list[Account | None]:
        """As `get_or_create`, for input that is replayed; None where the saved account already
        holds a payment."""
        return self._get_or_create(payments, self._new_replayed)

    def _get_or_create(
        self, payments: Payments, new: Callable[[bytes, int, bytes, int], _AccountOrNone]
    ) -> list[_AccountOrNone]:
        """`new` is told the source, time, currency and offset."""
        dirty, sources = self.dirty, payments.sources
        found: list[Any] = [*map(dirty.get, sources)]
        missing = [*compress(range(len(found)), map(not_, found))]
        # Many at once: where they are in memory is not in the processor's cache, mostly.
        clean = [*map(self._clean.pop, map(sources.__getitem__, missing), repeat(None))]
        for n, account in zip(missing, clean, strict=True):
            source, offset = sources[n], payments.offsets[n]
            if account is not None:
                account[FIRST] = offset
            used: Any = (
                account
                or dirty.get(source)
                or new(source, payments.times_ms[n], payments.currencies[n], offset)
            )
            if used is not None:
                dirty[source] = used
            found[n] = used
        return found

    def _new(self, source: bytes, time_ms: int, currency: bytes, offset: int) -> Account:
        """One that is neither dirty nor clean."""
        if packed := self._packed.pop(source, None):
            return self.layout.unpacked(packed, offset)
        floor = time_ms if self._partial else self.dropped_until
        return self.layout.new(time_ms, currency, offset, floor)

    def _new_replayed(
        self, source: bytes, time_ms: int, currency: bytes, offset: int
    ) -> Account | None:
        packed = self._packed.get(source)
        if packed and self.layout.as_of(packed) > offset:
            return None
        return self._new(source, time_ms, currency, offset)

    def switch(self, layout: Layout) -> None:
        """Other rules become current: their windows take the place of the old ones, in each account
        when it next pays."""
        self._has_one_layout &= layout.windows == self.layout.windows
        self.layout = layout

    def lay_out(self, accounts: Iterable[Account]) -> None:
        """These are to be judged by the current rules."""
        if not self._has_one_layout:
            for account in accounts:
                self.layout.take_over(account)

    def take_evicted(self) -> int:
        """How many accounts were evicted since the last call."""
        count, self.evicted = self.evicted, 0
        return count

    def become_partial(self) -> None:
        """Not all that was before is known: of an account that is new it is said so."""
        self._partial = True

    def start_over(self) -> None:
        """The input is another: what was remembered of the old one is forgotten."""
        self._to_forget = [*self._packed]
        self._packed.clear()
        self._stored = 0
        self.dropped_until = NEVER

    # -- saving

    def save(self, now_s: float, partitions: int = 1) -> Iterator[list[Saved]]:
        """Saves what is due as of `next_offset`, some accounts at a time, in a commit of
        `partitions` partitions. `now_s` is monotonic."""
        until = max(self.next_offset - self._bounds.replay_records, self._reached(now_s))
        void, self._to_forget = self._to_forget, []
        yield [(source, None) for source in void]
        most = -(-self._bounds.a_commit // partitions)
        # All at once: iterating over a dict skips the tombstones of deleted keys again each time.
        due = [*islice(self._due(until), most)]
        for first in range(0, len(due), _CHUNK_SIZE):
            yield self._save(due[first : first + _CHUNK_SIZE])
        yield [*self._evict()]

    def manifest(self) -> Manifest:
        """Goes with every commit, behind what `save` gave."""
        oldest = next(iter(self.dirty.values()), None)
        low = self.next_offset if oldest is None else oldest[FIRST]
        return Manifest(
            self.next_offset,
            low,
            self.rules_version,
            self._stored,
            self.dropped_until,
            self.is_logged,
            self.source,
        )

    def _reached(self, now_s: float) -> int:
        """How far the input had come an interval ago."""
        self._times.append((now_s, self.next_offset))
        past, until = now_s - self._bounds.interval_ms / 1000, 0
        while self._times[0][0] <= past:
            until = self._times.popleft()[1]
        if until:
            self._times.appendleft((past, until))
        return until

    def _due(self, until: int) -> Iterator[tuple[bytes, Account]]:
        everything = not self._bounds.replay_records
        for source, account in self.dirty.items():
            if account[FIRST] >= until and not everything:
                return
            yield source, account

    def _save(self, due: Sequence[tuple[bytes, Account]]) -> list[Saved]:
        packed, as_of = self.layout.packed, self.next_offset
        saved: list[Saved] = []
        for source, account in due:
            saved.append((source, packed(account, as_of)))
            del self.dirty[source]
            if not account[STORED]:
                account[STORED] = True
                self._stored += 1
        self._clean.update(due)
        return saved

    def _evict(self) -> Iterator[Saved]:
        """Forgets those saved longest ago, past what is kept."""
        past = max(0, len(self) - self._bounds.accounts)
        for source in [*islice(chain(self._packed, self._clean), past)]:
            packed = self._packed.pop(source, None)
            account = self.layout.unpacked(packed, 0) if packed else self._clean.pop(source)
            self.evicted += 1
            self.dropped_until = max(self.dropped_until, account[LAST], account[FLOOR])
            self._stored -= 1
            yield source, None

    # -- restoring

    def restored(self, offset: int) -> None:
        """It is what it was at this offset of the input. What had to be replayed is saved with the
        next commits, else whoever restores it next would have to replay that and more."""
        self.next_offset = offset
        self._times.append((-math.inf, offset))

    def load(self, sources: Sequence[bytes], packed: Sequence[bytes | None]) -> bytes | None:
        """What stands in the topic, in the topic's order; returns the manifest, if it is there."""
        stored: dict[bytes, Any] = self._packed
        stored.update(zip(sources, packed, strict=True))
        if not all(packed):
            for source in sources:
                if not stored.get(source, True):
                    del stored[source]
        manifest: bytes | None = stored.pop(MANIFEST_KEY, None)
        return manifest

    def loaded(self, manifest: Manifest | None) -> str | None:
        """All accounts were loaded, before anything is judged: what is wrong, if anything is."""
        self._stored = len(self._packed)
        if manifest is None:
            return None
        self.dropped_until = manifest.dropped_until
        self.rules_version, self.is_logged = manifest.rules_version, manifest.is_logged
        if manifest.accounts != self._stored:
            return f"it holds {self._stored} accounts, where {manifest.accounts} were saved"
        return None
