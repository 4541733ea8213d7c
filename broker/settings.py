"""How a server is set up, beyond Kafka's own defaults."""


def server_properties(brokers: int) -> dict[str, str]:
    """What all nodes have in common; everything is replicated to all `brokers`."""
    replicas, in_sync = str(brokers), str(max(1, brokers - 1))
    return {
        "process.roles": "broker,controller",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        # A misspelt topic fails loudly instead of coming into being.
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # Few groups and producers here: the 50 partitions that each has by default would only
        # delay the first commit, and every start.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        # A group need not wait for members that may come: one that does is let in as it does.
        "group.initial.rebalance.delay.ms": "0",
        # So long until others lead the partitions of a broker that is gone; by default 9 s.
        "broker.session.timeout.ms": "6000",
        # So long does a broker wait for another one that is silent, as to a marker that ends a
        # Kafka transaction there, before it asks whoever leads by now; by default 30 s.
        "request.timeout.ms": "5000",
        # And for a controller that is: another one is elected within seconds, but whoever had asked
        # the old one, say for producer ids, or to shrink a set of replicas, would wait 30 s.
        "controller.socket.timeout.ms": "3000",
        # A killed client's open Kafka transaction holds back readers of committed records until
        # the broker next looks for timed-out ones: by default every ten seconds. An only node that
        # was killed must not look before its old session is over, when its partitions are without
        # a leader: it would forget to end them (docs/exactly-once.md).
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": (
            "1000" if brokers > 1 else "10000"
        ),
    }
