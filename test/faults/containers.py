from faults.report import Report

CONTAINERS = "containers"


def play_containers(report: Report, seed: int) -> None:
    pass
