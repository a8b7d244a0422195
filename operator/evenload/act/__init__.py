"""What touches the cluster: weights, evictions, and the Remediation that is written down before either.

Nothing here decides; each function does one thing that the engine allowed, and says what became of it.
"""
