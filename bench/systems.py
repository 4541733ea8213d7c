"""The systems that are compared: how each is run, and with which settings.

All do the same work: read a record's JSON, compare its amount, pass its bytes on to one of two
topics. All take the same variables from the environment and end on SIGTERM.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from bench import environments
from bench.environments import PEERS
from bench.rulebooks import ORIGINAL, SHIPPED, TEN, VELOCITY, Chosen
from broker import jars

COMMIT_INTERVAL_MS = 100
_HERE = [sys.executable]


@dataclass(frozen=True)
class System:
    """One system with one set of settings. `prepare` makes its environment, if it needs one, and
    returns its command line."""

    name: str
    version: str
    guarantee: str
    settings: str
    prepare: Callable[[], list[str]] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    processes: int = 1

    def with_variables(self, name: str, **variables: object) -> "System":
        """The same system under another name, with further variables."""
        added = {key: str(value) for key, value in variables.items()}
        return replace(self, name=name, variables={**self.variables, **added})


def _peer(folder: str, *words: str) -> Callable[[], list[str]]:
    return lambda: [environments.python(folder), str(PEERS / folder / "peer.py"), *words]


def _streams(*options: str) -> Callable[[], list[str]]:
    source = str(PEERS / "kafka_streams" / "Peer.java")
    return lambda: [*environments.java("kafka_streams"), *options, source]


def _detector(rules: Chosen) -> Callable[[], list[str]]:
    def prepare() -> list[str]:
        rules.write()
        return [*_HERE, "-m", "detector"]

    return prepare


def _with_rules(name: str, rules: Chosen, settings: str) -> "System":
    return replace(
        DETECTOR,
        name=name,
        settings=f"its defaults, and {settings}",
        prepare=_detector(rules),
        variables={**_EVERY, "RULES_FILE": str(rules.path)},
    )


_EXACTLY, _AT_LEAST = "exactly once", "at least once"
_LIBRDKAFKA = "batch.size 1 MB, linger.ms 20, fetch.message.max.bytes 4 MB, 200,000 queued"
_EVERY = {"COMMIT_INTERVAL_MS": str(COMMIT_INTERVAL_MS)}

DETECTOR = System(
    name="detector",
    version="this",
    guarantee=_EXACTLY,
    settings="its defaults, and the rule large_amount alone",
    prepare=_detector(ORIGINAL),
    variables={**_EVERY, "RULES_FILE": str(ORIGINAL.path)},
)
DETECTORS = replace(DETECTOR, name="detector x 2", processes=2)
DETECTOR_TEN = _with_rules("detector, ten rules", TEN, "all rules active")
DETECTOR_SHIPPED = _with_rules("detector, as it ships", SHIPPED, "nine of the ten rules in shadow")
DETECTOR_ORIGINAL = _with_rules("detector, the original rule", ORIGINAL, "large_amount alone")
DETECTOR_VELOCITY = _with_rules(
    "detector, count, sum and payees", VELOCITY, "count_velocity, sum_velocity, fan_out"
)
CONFLUENT = System(
    name="confluent-kafka",
    version=environments.pinned("confluent_kafka"),
    guarantee=_EXACTLY,
    settings=f"consume 10,000 at once, msgspec, no delivery callback, {_LIBRDKAFKA}",
    prepare=_peer("confluent_kafka"),
    variables=_EVERY,
)
STREAMS_DEFAULT = System(
    name="Kafka Streams, defaults",
    version=jars.VERSION,
    guarantee=_EXACTLY,
    settings="exactly_once_v2, one thread, all else at its default",
    prepare=_streams("-Xmx1g"),
)
STREAMS = replace(
    STREAMS_DEFAULT,
    name="Kafka Streams",
    settings="exactly_once_v2, one thread, Jackson's streaming parser, batch.size 512 kB, "
    "linger.ms 100, max.poll.records 10,000, fetches of 4 MB a partition, heap 1 GB, parallel GC",
    prepare=_streams("-Xmx1g", "-XX:+UseParallelGC"),
    variables={**_EVERY, "TUNED": "1"},
)
STREAMS_VELOCITY = replace(
    STREAMS,
    name="Kafka Streams, count, sum and payees",
    settings=f"{STREAMS.settings}; an in-memory store with changelog, keyed by account: one "
    "array of bytes, read in place, with 64-bit hashes of payees",
    variables={**STREAMS.variables, "VELOCITY": "1"},
)
STREAMS_10MS = STREAMS_DEFAULT.with_variables("Kafka Streams, 10 ms commits", COMMIT_INTERVAL_MS=10)
QUIXSTREAMS = System(
    name="quixstreams",
    version=environments.pinned("quixstreams"),
    guarantee=_EXACTLY,
    settings=f"bytes passed through, msgspec, {_LIBRDKAFKA}",
    prepare=_peer("quixstreams"),
    variables=_EVERY,
)
BYTEWAX = System(
    name="bytewax",
    version=environments.pinned("bytewax"),
    guarantee=_AT_LEAST,
    settings=f"recovery with an epoch of 100 ms, msgspec, batch_size 10,000, {_LIBRDKAFKA}",
    prepare=_peer("bytewax"),
    variables=_EVERY,
)
FAUST = System(
    name="faust-streaming",
    version=environments.pinned("faust"),
    guarantee=_AT_LEAST,
    settings="raw values, msgspec, send_soon, batches of 256 kB, linger 20 ms",
    prepare=_peer("faust", "worker", "-l", "error"),
    variables=_EVERY,
)
PLAIN_LOOP = System(
    name="kafka-python, plain loop",
    version=version("kafka-python"),
    guarantee=_AT_LEAST,
    settings="poll 5,000 at once, msgspec, batch_size 256 kB, linger_ms 20",
    prepare=lambda: [*_HERE, str(PEERS / "kafka_python" / "peer.py")],
    variables=_EVERY,
)
GENERATOR = System(
    name="generator",
    version="this",
    guarantee=_AT_LEAST,
    settings="its defaults",
    prepare=lambda: [*_HERE, "-m", "generator"],
    variables={"TRANSACTIONS_PER_SECOND": "0", "SEED": "1"},
)
SEND_LOOP = System(
    name="kafka-python, send loop",
    version=version("kafka-python"),
    guarantee=_AT_LEAST,
    settings="json.dumps, batch_size 256 kB, linger_ms 20",
    prepare=lambda: [*_HERE, str(PEERS / "kafka_python" / "generate.py")],
)
