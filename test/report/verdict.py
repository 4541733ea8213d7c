"""The report's arithmetic and its text: counts in, lines and a verdict out."""

from dataclasses import dataclass
from statistics import NormalDist

from .expectation import SHIPPED_LIMIT, Expectation, share_from

EXPECTED = share_from(SHIPPED_LIMIT)
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Counts:
    """Committed records of each output topic with a timestamp in the window, and the input's
    records of the window that have no verdict yet."""

    fraud: int
    legit: int
    dead: int
    unjudged: int = 0

    @property
    def judged(self) -> int:
        return self.fraud + self.legit

    @property
    def rate(self) -> float:
        """The share of fraud among the judged; 0 where there are none."""
        return self.fraud / self.judged if self.judged else 0.0


def interval(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion; all of [0, 1] without trials.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927), 209-212.
    """
    if not trials:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = hits / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * (share * (1 - share) / trials + weight / (4 * trials)) ** 0.5
    # At its ends the sums are a little off.
    return centre - reach if hits else 0.0, centre + reach if hits < trials else 1.0


def lines(
    counts: Counts, expectation: Expectation, seconds: int, asked_per_second: int
) -> list[str]:
    """The report's lines after the collecting."""
    low, high = interval(counts.fraud, counts.judged)
    about, exactly = _in_words(expectation)
    asked = f"asked: {asked_per_second}" if asked_per_second else "as fast as it can"
    seen = (counts.judged + counts.dead) / seconds
    return [
        f"# fraudulent transactions = {counts.fraud}",
        f"# legitimate transactions = {counts.legit}",
        "yielding...",
        f"transaction fraud rate = {counts.rate:.2%}".replace("%", " %"),
        about,
        f"99 % confidence interval = {100 * low:.2f} % to {100 * high:.2f} %{exactly}",
        f"transactions per second = {seen:.1f} ({asked})",
        f"# dead letters = {counts.dead}",
    ]


def _in_words(expectation: Expectation) -> tuple[str, str]:
    """The line below the rate, and the end of the line of the interval."""
    if expectation.share is None:
        return f"(no expectation: {expectation.why})", ""
    percent = 100 * expectation.share
    return f"(expecting ~ {percent:.0f}%)", f" (expecting {percent:.2f} %)"


def what_is_off(counts: Counts, expectation: Expectation) -> str | None:
    """One line; None where transactions flow, and what is expected, if that is known, is within the
    interval."""
    if counts.unjudged:
        return f"the detector is behind: {counts.unjudged} transactions have no verdict yet"
    low, high = interval(counts.fraud, counts.judged)
    share = expectation.share
    if counts.judged and (share is None or low <= share <= high):
        return None
    silent = [name for name, count in vars(counts).items() if name in _STREAMS and not count]
    if silent or share is None:
        return f"no transactions in the stream: {', '.join(silent)}"
    return (
        f"the fraud rate of {100 * counts.rate:.2f} % is off: {100 * share:.2f} % is "
        f"outside {100 * low:.2f} % to {100 * high:.2f} %"
    )


_STREAMS = ("fraud", "legit")
