"""What a stream tells its user, while it runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Observer(Protocol):
    """Is told what became of a stream's records.

    Called from the thread that uses the stream, or while that waits in `read` or `commit`.
    """

    def committing(self) -> None:
        """A commit begins, of all that was forwarded until now."""

    def committed(self, seconds: float) -> None:
        """The commit has ended, and all of it is visible; it took `seconds`."""

    def aborted(self) -> None:
        """All that was forwarded and not committed is discarded, and will be read again."""

    def rebalanced(self, partitions: Sequence[int]) -> None:
        """The group gave this member these partitions, in place of those it had."""


BeforeCommit = Callable[[Mapping[int, int]], None]
"""Is called as a commit begins, with the offset that each partition of the input will be committed
at, to `send` what belongs to it: state, which is then as exact as the outputs."""
