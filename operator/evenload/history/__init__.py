"""The past, as Prometheus remembers it, turned into the Snapshots that the engine would have been given.

Two callers: warm start (the last minutes, so that a new leader need not wait for its filters) and backtest (weeks, to
see what Evenload would have done). Both ask the live path's own queries. What Prometheus does not remember (weights,
readiness) is told as an assumption, never passed off as history. Nothing here writes to a cluster.
"""
