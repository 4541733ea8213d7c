"""How many transactions are due: a rate that is held by deadline, without drift and bursts."""

import math

_TICK_S = 0.005
_BURST_S = 0.020  # of the rate, made at once at the most: a late turn is caught up over several
_STALL_S = 1.0  # more than that behind: it is not caught up, but skipped


class Pace:
    """Says how many are due at a time; time is monotonic seconds, given by the caller.

    The n-th transaction is due n / rate seconds after the start. Whoever asks late gets what has
    come due meanwhile, but not more than 20 ms' worth at once, so that the stream stays even; a
    debt of over a second is dropped and counted in `skipped`.
    """

    def __init__(self, per_second: int, now: float) -> None:
        self._rate = per_second
        self._start = now
        self._made = 0  # since the start, skipped ones included
        self._burst = max(1, math.ceil(per_second * _BURST_S))
        self.skipped = 0

    def due(self, now: float) -> int:
        """How many to make now."""
        owed = math.floor((now - self._start) * self._rate) - self._made
        if owed > self._rate * _STALL_S:
            self.skipped += owed
            self._made += owed
            return 0
        return max(0, min(owed, self._burst))

    def made(self, count: int) -> None:
        """So many were made; without this they stay due."""
        self._made += count

    def pause_s(self, now: float) -> float:
        """How long to sleep until the next is due, in ticks of at least 5 ms."""
        next_due = self._start + (self._made + 1) / self._rate
        return max(_TICK_S, next_due - now)


class Unthrottled:
    """As fast as it can: always another thousand."""

    skipped = 0

    def due(self, now: float) -> int:  # noqa: ARG002
        return 1_000

    def made(self, count: int) -> None: ...

    def pause_s(self, now: float) -> float:  # noqa: ARG002
        return 0.0
