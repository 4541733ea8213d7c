"""The schedules: what befalls a run's detectors, one fault after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faults import strikes
from faults.proxy import Api
from faults.run import Fault


@dataclass(frozen=True)
class Schedule:
    """Faults in their order, and settings of the detectors."""

    name: str
    faults: Sequence[tuple[str, Fault]]
    settings: Mapping[str, str] = field(default_factory=dict)


def _words(api: Api) -> str:
    return api.name.lower().replace("_", " ")


KILL = ("SIGKILL of a detector", strikes.kill)
KILL_NAMED = ("SIGKILL of a detector with INSTANCE_ID", strikes.kill)
KILL_ALL = ("SIGKILL of all detectors", strikes.kill_all)
TERMINATE = ("SIGTERM of a detector", strikes.terminate)
ZOMBIE = ("SIGSTOP past the session, SIGCONT", strikes.zombie)
NAP = ("SIGSTOP within the session, SIGCONT", strikes.nap)
SCALE = ("scaling 1 to 3 to 1", strikes.scale)
BROKER_KILLED = ("SIGKILL of a broker", strikes.broker_killed)
BROKER_STOPPED = ("restart of a broker", strikes.broker_stopped)
BROKER_PAUSED = ("SIGSTOP of a broker, SIGCONT", strikes.broker_paused)
LEADER_MOVED = ("leaders moved", strikes.leader_moved)
OUTAGE = ("all brokers away", strikes.outage)
CUT = ("connections cut", strikes.connections_cut)
SLOW = ("connections slow", strikes.connections_slow)
HALF_OPEN = ("connections half-open", strikes.connections_half_open)
CUT_OFF = ("a detector cut off past its session", strikes.one_cut_off)
MID_COMMIT = [
    (
        f"connection breaks {when} {api.name.lower().replace('_', ' ')}",
        strikes.cut_at(api, after=after),
    )
    for api in (Api.PRODUCE, Api.SEND_OFFSETS, Api.END_TRANSACTION)
    for when, after in (("before", False), ("after", True))
]
COORDINATOR = [
    (f"broker killed at {_words(api)}", strikes.coordinator_killed(api))
    for api in (Api.SEND_OFFSETS, Api.END_TRANSACTION)
]
PARTITION = ("a partition added", strikes.partition_added)
RESET = ("offsets reset while it runs", strikes.offsets_reset)

# Seconds until output flows again, by kind.
LIMITS = {
    KILL[0]: 15.0,
    KILL_NAMED[0]: 6.0,
    TERMINATE[0]: 3.0,
    BROKER_KILLED[0]: 15.0,
}

SCHEDULES = [
    Schedule("kill", [KILL, KILL, KILL_ALL]),
    Schedule("kill-named", [KILL_NAMED] * 3, settings={"INSTANCE_ID": "detector"}),
    Schedule("terminate", [TERMINATE, TERMINATE, TERMINATE]),
    Schedule("pause", [NAP, ZOMBIE, NAP]),
    Schedule("scale", [SCALE, SCALE]),
    Schedule("broker-kill", [BROKER_KILLED, BROKER_KILLED]),
    Schedule("broker-stop", [BROKER_STOPPED, LEADER_MOVED, LEADER_MOVED]),
    Schedule("broker-pause", [BROKER_PAUSED]),
    Schedule("coordinator", COORDINATOR),
    Schedule("outage", [OUTAGE]),
    Schedule("cut", [CUT, CUT, SLOW]),
    Schedule("half-open", [HALF_OPEN, CUT_OFF]),
    Schedule("mid-commit", MID_COMMIT),
    Schedule("operator", [RESET, PARTITION]),
]
