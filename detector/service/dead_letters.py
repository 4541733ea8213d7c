"""When to warn of dead letters, and what to say of them."""

from collections import Counter
from collections.abc import Mapping

from kafka_batch import HeaderBlock

_PERIOD_S = 10.0


class DeadLetterWarnings:
    """Due at the first dead letter, and from then on once in ten seconds while more come."""

    def __init__(self) -> None:
        self._due_at = float("-inf")
        self._warned: Counter[str] = Counter()  # by error
        self._warned_read = 0

    def next(
        self, now_s: float, read: int, errors: Counter[str], samples: Mapping[str, HeaderBlock]
    ) -> dict[str, object]:
        """What to say now of the dead letters since the last warning; nothing where none is due.

        `read` and `errors` count all records and the dead letters by error, since the start;
        `samples` are the headers of one dead letter for each error.
        """
        if now_s < self._due_at or errors == self._warned:
            return {}
        new, new_read = errors - self._warned, read - self._warned_read
        self._due_at, self._warned, self._warned_read = now_s + _PERIOD_S, errors.copy(), read
        ((error, count),) = new.most_common(1)
        sample = dict(samples[error].decoded())
        return {
            "dead_letters": new.total(),
            "read": new_read,
            "share": f"{100 * new.total() / new_read:.3g} %",
            "commonest_error": error,
            "count": count,
            "detail": _text(sample, "error_detail"),
            "sample": _text(sample, "origin"),
        }


def _text(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers[name] or b"").decode()
