"""What rules with memory cost: beside Kafka Streams, by the number of rules, and by how what they
remember is made durable."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from math import inf

from bench import filler, throughput
from bench.plan import Plan
from bench.processes import Failed
from bench.systems import (
    DETECTOR_TEN,
    DETECTOR_VELOCITY,
    STREAMS_VELOCITY,
)
from bench.throughput import Input, Run, Span
from bench.topics import Broker
from bench.turns import Row, described, in_turn, say, summary
from detector.rules.file.loading import load_file
from detector.rules.tools.timing import all_active, time_rules
from detector.service.settings import RULES_FILE

_ANY = (0.0, 1.0)
_TENTH = (0.06, 0.14)  # frauds, by all ten rules
_SAME = 0.02  # shares of frauds: runs end at different records, and Kafka's markers are counted
# Accounts that pay 20 times a day have a day of history when what counts begins.
_SPAN = Span(warm=0.7, warm_s=inf)
_FROM_BEGINNERS = Span(warm=0.6, warm_s=inf)
ROOM = {"STATE_MAX_ACCOUNTS": 1_000_000}  # for a quarter of them, and an uneven one
SAVING: Mapping[str, Mapping[str, int]] = {
    "as it comes": {},
    "every 2.5 s": {"STATE_INTERVAL_MS": 2_500},
    "at every commit": {"STATE_REPLAY_MAX": 0},
    "never": {"STATE_REPLAY_MAX": 10**9, "STATE_INTERVAL_MS": 86_400_000},
}


def rules(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput of the ten rules, and of a part of them; of Kafka Streams with three of them."""
    with broker.topics("in") as (topic,):
        write(broker, topic, plan.accounts, plan.payments)
        source = Input(topic, plan.payments, _ANY, _SPAN)
        turns = [
            (system.name, partial(throughput.measure, broker, system, source))
            for system in plan.remembering
        ]
        runs = in_turn(turns, plan.rounds_of_rules)
    _require_a_tenth(runs[DETECTOR_TEN.name])
    _require_the_same(runs[DETECTOR_VELOCITY.name], runs[STREAMS_VELOCITY.name])
    return [
        {**described(system), **summary(runs[system.name]), "frauds": runs[system.name][0].frauds}
        for system in plan.remembering
    ]


def durability(broker: Broker, plan: Plan) -> list[Row]:
    """Throughput of the ten rules, by how often what they remember is saved."""
    rows = []
    for accounts, payments in plan.durability:
        variants = {
            saved: DETECTOR_TEN.with_variables(f"{accounts:,} accounts, {saved}", **ROOM, **how)
            for saved, how in SAVING.items()
        }
        with broker.topics("in") as (topic,):
            write(broker, topic, accounts, payments)
            source = Input(topic, payments, _ANY, _FROM_BEGINNERS)
            turns = [
                (its.name, partial(throughput.measure, broker, its, source))
                for its in variants.values()
            ]
            runs = in_turn(turns, plan.rounds_of_rules)
        rows += [
            {"accounts": accounts, "saved": saved, **summary(runs[its.name])}
            for saved, its in variants.items()
        ]
    return rows


def alone(broker: Broker, plan: Plan) -> list[Row]:  # noqa: ARG001  # as all chapters are called
    """What the ten rules cost by themselves, without Kafka."""
    say(f"timing the rules over payments of {plan.timed[0]:,} accounts")
    found = time_rules(all_active(load_file(RULES_FILE)), *plan.timed)
    return [asdict(found)]


def write(broker: Broker, topic: str, accounts: int, payments: int) -> None:
    """Fills a topic with payments, and says so."""
    say(f"writing {payments:,} payments of {accounts:,} accounts")
    filler.fill(broker, topic, accounts, payments)


def _require_a_tenth(runs: Sequence[Run]) -> None:
    share = runs[0].frauds
    if not _TENTH[0] < share < _TENTH[1]:
        raise Failed(f"by the ten rules {share:.1%} were frauds")


def _require_the_same(ours: Sequence[Run], theirs: Sequence[Run]) -> None:
    """Both do the same work only where they find the same."""
    own, other = (runs[0].frauds for runs in (ours, theirs))
    if abs(own - other) > _SAME:
        raise Failed(f"by the same rules, {own:.2%} and {other:.2%} were frauds")
