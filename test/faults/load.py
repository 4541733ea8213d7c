"""The load: keyed transactions by an idempotent producer of another make, and what it wrote."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from faults.flow import IMPATIENT

# One half of the payments is of accounts that pay all the time, the other of many that hardly do.
_ACCOUNTS = 64, 20_000
_TICK_S = 0.2
_FLUSH_S = 90.0
# With what becomes of them: {} is the record's number, so that no two are alike.
_MALFORMED = [
    ('{{"source":"a","target":"t{}","amount":"900","currency":"USD"}}', "bad_amount"),
    ('{{"source":"a","target":"t{}","amount":-1,"currency":"USD"}}', "bad_amount"),
    ('{{"source":"a","target":"t{}","currency":"USD"}}', "missing_field"),
    ('{{"source":"a","target":"t{}","amount":1,"amount":1,"currency":"USD"}}', "duplicate_field"),
    ('{{"source":"a","target":"t{}","amount":1,"currency":"usd"}}', "bad_currency"),
    ('{{"source":"a","target":"t{}"', "not_json"),
    ('["t{}"]', "not_object"),
]
_HEADERS: list[list[tuple[str, bytes | None]]] = [
    [],
    [("trace", b"\x00\xff")],
    [("trace", b"1"), ("trace", None), ("rules", b"of a sender")],
]


@dataclass
class Written:
    """What the load has done: the place of each value that the broker acknowledged; the
    offset is negative where librdkafka was not told it."""

    places: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # partition, offset
    planted: dict[bytes, str] = field(default_factory=dict)  # malformed values -> error code
    failures: list[str] = field(default_factory=list)
    answered: int = 0


class Load:
    """Writes so many records a second until it is paused or stopped; the same ones for a seed."""

    def __init__(self, bootstrap_servers: str, topic: str, per_second: int, seed: int) -> None:
        self.written = Written()
        self._topic = topic
        self._per_second = per_second
        self._random = random.Random(seed)  # noqa: S311
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 25,
                "message.timeout.ms": 0,  # never gives a record up
                "queue.buffering.max.messages": 1_000_000,  # of an outage of half an hour
                "request.timeout.ms": IMPATIENT["socket.timeout.ms"],
                **IMPATIENT,
            }
        )
        self._count = 0
        self._flowing = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._thread.start()

    def flow(self) -> None:
        """Begins, or goes on."""
        self._flowing.set()

    def pause(self) -> None:
        """Returns when all that was written is acknowledged."""
        self._flowing.clear()
        deadline = time.monotonic() + _FLUSH_S
        while self.written.answered < self._count:
            assert time.monotonic() < deadline, "the load's records are not acknowledged"
            time.sleep(_TICK_S)

    def stop(self) -> Written:
        """Ends it, and says what it wrote."""
        self.pause()
        self.abandon()
        return self.written

    def abandon(self) -> None:
        """Ends it at once, whatever is not acknowledged."""
        self._flowing.clear()
        self._stopped.set()
        self._thread.join()
        self._producer.purge()

    def _run(self) -> None:
        due = 0.0
        while not self._stopped.is_set():
            self._producer.poll(_TICK_S)
            if not self._flowing.is_set():
                due = 0.0
                continue
            now = time.monotonic()
            due = due or now
            while due <= now and self._flowing.is_set():
                self._send()
                due += 1 / self._per_second

    def _send(self) -> None:
        number, chance = self._count, self._random.random()
        self._count += 1
        source = f"acct{self._random.randrange(self._random.choice(_ACCOUNTS)):08}"
        if chance < 0.02:
            form, code = self._random.choice(_MALFORMED)
            value = form.format(number).encode()
            self.written.planted[value] = code
        else:
            amount = self._random.choice(("900", "900.00", "1e3", f"{900 + chance * 100:.2f}"))
            if chance > 0.12:
                amount = self._random.choice(("899.99", "1", f"{chance * 899:.2f}", "0.0"))
            place = f'"source":"{source}","target":"t{number:011}"'
            value = f'{{{place},"amount":{amount},"currency":"USD"}}'.encode()
        headers = _HEADERS[0 if number % 16 else 1 + number % 3 % 2]
        self._producer.produce(
            self._topic,
            value,
            source.encode(),
            headers=headers,
            timestamp=time.time_ns() // 1_000_000,
            on_delivery=self._acknowledged,
        )

    def _acknowledged(self, error: Any, message: Any) -> None:
        self.written.answered += 1
        if error is None:
            offset = message.offset()
            known = -1 if offset is None else offset  # none after an answer was lost
            self.written.places[message.value()] = (message.partition(), known)
        else:
            self.written.failures.append(f"{message.value()!r}: {error}")
