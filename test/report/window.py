"""The window: so many seconds, by the clock that the transactions' timestamps come from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from kafka import KafkaConsumer, TopicPartition
from tqdm import tqdm

from .settings import CannotMeasure

_ENOUGH = 5_000  # records, to know a clock by
_NOTABLE_MS = 2_000
_LOOK_S = 0.1


@dataclass(frozen=True)
class Window:
    """Timestamps from `start_ms` on, up to but without `end_ms`. Their clock is `ahead_ms` ahead of
    this machine's, as far as that is known."""

    start_ms: int
    end_ms: int
    ahead_ms: int | None = None

    def __contains__(self, timestamp_ms: int) -> bool:
        return self.start_ms <= timestamp_ms < self.end_ms

    @classmethod
    def of_arrivals(cls, began_ms: int, seconds: int, ahead_ms: Sequence[float]) -> Self:
        """The window that began at a time of this machine's clock, given by how much the timestamp
        of each record that arrived was ahead of that clock. Some producers' clocks may be wrong:
        the half of the records that agree best counts.

        Raises:
            CannotMeasure: the timestamps follow no clock.
        """
        ordered = sorted(ahead_ms)
        if not ordered:
            return cls(began_ms, began_ms + 1000 * seconds)
        reach = len(ordered) // 2
        spans = [
            (high - low, low, high) for low, high in zip(ordered, ordered[reach:], strict=False)
        ]
        apart, low, high = min(spans)
        if apart > 1000 * seconds:
            raise CannotMeasure(
                "the timestamps of the transactions don't tell when they came: "
                f"of those that arrive together most are over {apart / 1000:.0f} s apart"
            )
        ahead = round((low + high) / 2)
        return cls(began_ms + ahead, began_ms + ahead + 1000 * seconds, ahead)

    @property
    def remark(self) -> str | None:
        """One line where the clocks differ notably, or nothing arrived."""
        if self.ahead_ms is None:
            return "no new transactions came in"
        if abs(self.ahead_ms) < _NOTABLE_MS:
            return None
        side = "ahead of" if self.ahead_ms > 0 else "behind"
        return (
            f"the newest transactions are {abs(self.ahead_ms) / 1000:.0f} s {side} this machine's "
            "clock: the window is measured by their timestamps"
        )


def watch(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], seconds: int) -> Window:
    """The window of the next so many seconds, once they have passed; it looks meanwhile at the
    first records that arrive behind these ends.

    Raises:
        CannotMeasure: their timestamps follow no clock.
        KafkaError: the broker fails.
    """
    consumer.assign(list(ends))
    for partition, end in ends.items():
        consumer.seek(partition, end)
    began, began_ms = time.monotonic(), time.time_ns() // 1_000_000
    ahead_ms: list[float] = []
    layout = "{l_bar}{bar}| {remaining} left"
    with tqdm(total=seconds, desc="collecting", bar_format=layout, leave=False) as bar:
        while (passed_s := time.monotonic() - began) < seconds:
            bar.update(passed_s - bar.n)
            wait_s = min(seconds - passed_s, _LOOK_S)
            if len(ahead_ms) >= _ENOUGH:
                time.sleep(wait_s)
                continue
            arrived = consumer.poll(timeout_ms=1000 * wait_s)
            now_ms = began_ms + 1000 * (time.monotonic() - began)
            ahead_ms += [
                record.timestamp - now_ms
                for records in arrived.values()
                for record in records
                if record.timestamp >= 0  # it is -1 where there is none
            ]
    return Window.of_arrivals(began_ms, seconds, ahead_ms)
