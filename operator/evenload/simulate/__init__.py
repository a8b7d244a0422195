"""A world for the engine to be judged in: servers, a balancer and a Prometheus that know nothing of its formulas.

Pure, like the engine: the seed is an argument, time is a number that the loop moves on, nothing is read or written.
A plant that used the engine's own model of itself would prove only that the engine agrees with itself; so load here
comes from counted requests, latency from queues, shares from a balancer with faults of its own, and counters reach the
engine only through scrapes that come late, get lost and are extrapolated as Prometheus does it.

    traffic -> balancer -> servers -> scrape -> Snapshot -> Engine -> Decision -> loop -> balancer, cluster
"""
