"""The report's arithmetic and its text: counts in, lines and a verdict out."""

from dataclasses import dataclass
from statistics import NormalDist

# Amounts run evenly from 1.00 to 1000.00: 10,001 of the 99,901 are at least 900.
EXPECTED = 10_001 / 99_901
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
    return max(0.0, centre - reach), min(1.0, centre + reach)


def lines(counts: Counts, seconds: int, asked_per_second: int) -> list[str]:
    """The report's lines after the collecting."""
    low, high = interval(counts.fraud, counts.judged)
    asked = f"asked: {asked_per_second}" if asked_per_second else "as fast as it can"
    seen = (counts.judged + counts.dead) / seconds
    return [
        f"# fraudulent transactions = {counts.fraud}",
        f"# legitimate transactions = {counts.legit}",
        "yielding...",
        f"transaction fraud rate = {counts.rate:.2%}".replace("%", " %"),
        "(expecting ~ 10%)",
        f"99 % confidence interval = {100 * low:.2f} % to {100 * high:.2f} %"
        f" (expecting {100 * EXPECTED:.2f} %)",
        f"transactions per second = {seen:.1f} ({asked})",
        f"# dead letters = {counts.dead}",
    ]


def what_is_off(counts: Counts) -> str | None:
    """One line; None where both streams flow and the expectation is within the interval."""
    if counts.unjudged:
        return f"the detector is behind: {counts.unjudged} transactions have no verdict yet"
    silent = [name for name, count in vars(counts).items() if name in _STREAMS and not count]
    if silent:
        return f"no transactions in the stream: {', '.join(silent)}"
    low, high = interval(counts.fraud, counts.judged)
    if not low <= EXPECTED <= high:
        return (
            f"the fraud rate of {100 * counts.rate:.2f} % is off: {100 * EXPECTED:.2f} % is "
            f"outside {100 * low:.2f} % to {100 * high:.2f} %"
        )
    return None


_STREAMS = ("fraud", "legit")
