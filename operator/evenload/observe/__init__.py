"""The first stage: what the cluster and Prometheus say, joined to one Snapshot a Balancer.

Here belongs reading, and what makes readings honest: freshness, absence, partial answers. Nothing here judges what a
reading means for the traffic, and nothing here writes.
"""
