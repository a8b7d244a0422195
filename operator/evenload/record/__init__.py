"""What people and machines are told: the Balancer's status, Events, metrics, the journal, the flight recording.

Nothing here decides or acts, and nothing that acts waits for it.
"""
