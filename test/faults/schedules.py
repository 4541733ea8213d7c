"""The schedules: what befalls a run's detectors, one fault after the other."""

import importlib.util
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults import brokers, connections, operations, strikes
from faults.detectors import SHIPPED
from faults.proxy import Api
from faults.run import HUNG_S, Run
from faults.world import World

Strike = Callable[[Run], float]


@dataclass(frozen=True)
class Fault:
    """What strikes, and within how many seconds output should flow again."""

    kind: str
    strike: Strike
    limit_s: float | None = None


@dataclass(frozen=True)
class Schedule:
    """Faults in their order, and settings of the detectors.

    With `pick`, so many of them, as the seed has it; with `all_active`, by all ten rules that ship.
    `lacks` says why it can't run here. `long` schedules are for the long run only.
    """

    name: str
    faults: Sequence[Fault]
    settings: Mapping[str, str] = field(default_factory=dict)
    pick: int = 0
    all_active: bool = False
    long: bool = False
    lacks: Callable[[World], str | None] = lambda _: None
    program: Sequence[str] = SHIPPED
    hung_s: float = HUNG_S

    def chosen(self, seed: int) -> list[Fault]:
        """The faults of a run with this seed."""
        if not self.pick:
            return [*self.faults]
        return random.Random(seed).choices(self.faults, k=self.pick)  # noqa: S311


def _words(api: Api) -> str:
    return api.name.lower().replace("_", " ")


KILL = Fault("SIGKILL of a detector", strikes.kill, 15)
KILL_NAMED = Fault("SIGKILL of a detector with INSTANCE_ID", strikes.kill, 6)
KILL_ALL = Fault("SIGKILL of all detectors", strikes.kill_all, 15)
TERMINATE = Fault("SIGTERM of a detector", strikes.terminate, 3)
TERMINATE_JOINING = Fault("SIGTERM of a detector that joins", strikes.terminate_joining, 3)
ZOMBIE = Fault("SIGSTOP past the session, SIGCONT", strikes.zombie, 15)
NAP = Fault("SIGSTOP within the session, SIGCONT", strikes.nap)
SCALE = Fault("scaling 1 to 3 to 1", strikes.scale)
BROKER_KILLED = Fault("SIGKILL of a broker", brokers.broker_killed, 15)
BROKER_STOPPED = Fault("restart of a broker", brokers.broker_stopped, 15)
BROKER_PAUSED = Fault("SIGSTOP of a broker, SIGCONT", brokers.broker_paused, 15)
LEADER_MOVED = Fault("leaders moved", brokers.leader_moved)
OUTAGE = Fault("all brokers away", brokers.outage)
DISK_FULL = Fault("the disk of a broker full", brokers.disk_full, 15)
CUT = Fault("connections cut", connections.connections_cut)
SLOW = Fault("connections slow", connections.connections_slow)
HALF_OPEN = Fault("connections half-open", connections.connections_half_open)
CUT_OFF = Fault("a detector cut off past its session", connections.one_cut_off, 15)
TERMINATE_HALF_OPEN = Fault("SIGTERM while no broker answers", connections.terminate_half_open)
MID_COMMIT = [
    Fault(f"connection breaks {when} {_words(api)}", connections.cut_at(api, after=after))
    for api in (Api.PRODUCE, Api.SEND_OFFSETS, Api.END_TRANSACTION)
    for when, after in (("before", False), ("after", True))
]
KILL_AT_END = Fault(
    "SIGKILL of a detector in mid-commit", connections.killed_at(Api.END_TRANSACTION), 15
)
COORDINATOR = [
    Fault(f"broker killed at {_words(api)}", brokers.coordinator_killed(api), 15)
    for api in (Api.SEND_OFFSETS, Api.END_TRANSACTION)
]
PARTITION = Fault("a partition added", operations.partition_added)
RESET = Fault("offsets reset while it runs", operations.offsets_reset)
INPUT_RECREATED = Fault("the input deleted and recreated", operations.input_recreated)
GIVES_UP = Fault("a detector that must give up", operations.gives_up)
CLOCK = [Fault(f"the clock jumps by {jump}", strikes.clock_jumps(jump)) for jump in ("-1d", "+1d")]
AWAY = Fault("all brokers away for a minute", brokers.long_outage(60))
AWAY_LONG = Fault("all brokers away for 10 minutes", brokers.long_outage(600))

MIXED = [
    *(KILL, KILL_AT_END, KILL_ALL, TERMINATE, TERMINATE_JOINING, ZOMBIE, NAP, SCALE),
    *(BROKER_KILLED, BROKER_STOPPED, BROKER_PAUSED, LEADER_MOVED, OUTAGE),
    *(CUT, SLOW, HALF_OPEN, CUT_OFF, TERMINATE_HALF_OPEN, *MID_COMMIT, *COORDINATOR),
    *(RESET, INPUT_RECREATED, GIVES_UP),
]


def _no_small_disk(world: World) -> str | None:
    return None if world.disk else "no file system can be mounted: that needs root, on Linux"


def _faketime() -> Path | None:
    """A library that moves the wall clock of a process that loads it; a wheel brings it."""
    found = importlib.util.find_spec("libfaketime") if sys.platform == "linux" else None
    places = (found.submodule_search_locations or []) if found else []
    library = "vendor/libfaketime/src/libfaketime.so.1"
    return next(
        (Path(place) / library for place in places if (Path(place) / library).exists()), None
    )


def _no_faketime(_: World) -> str | None:
    return None if _faketime() else "libfaketime is not installed for this system"


WITH_FAKETIME = {
    "LD_PRELOAD": str(_faketime()),
    "FAKETIME_CACHE_DURATION": "1",
    "DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else waits with a limit, as for the GIL, end at once
}

SCHEDULES = [
    Schedule(
        "detectors", [KILL_AT_END, NAP, TERMINATE, TERMINATE_JOINING, KILL_ALL, ZOMBIE, SCALE]
    ),
    Schedule("ten-rules", [KILL_AT_END, KILL_ALL, ZOMBIE, SCALE], all_active=True),
    Schedule("named", [KILL_NAMED, KILL_NAMED], settings={"INSTANCE_ID": "detector"}),
    Schedule("brokers", [BROKER_KILLED, LEADER_MOVED, BROKER_STOPPED, BROKER_PAUSED]),
    Schedule("coordinator", COORDINATOR),
    Schedule("connections", [CUT, SLOW, HALF_OPEN, CUT_OFF, TERMINATE_HALF_OPEN, *MID_COMMIT]),
    Schedule("operator", [GIVES_UP, RESET, INPUT_RECREATED, PARTITION]),
    Schedule("clock", CLOCK, settings=WITH_FAKETIME, lacks=_no_faketime),
    Schedule("disk-full", [DISK_FULL], lacks=_no_small_disk),
    Schedule("away", [AWAY]),
    Schedule("mix", MIXED, pick=4),
    Schedule("outage", [OUTAGE, CUT, OUTAGE], long=True),
    Schedule("away-long", [AWAY_LONG], long=True),
    Schedule("mix-long", MIXED, pick=16, long=True),
]
