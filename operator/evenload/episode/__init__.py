"""The record of an incident, kept in one way: how a step is planned, put down and judged; what is under way and counts.

Pure, over the model's Episode and Step. The operator keeps them as a Remediation's status, the simulator and the tests'
plant in memory; whoever keeps a record moves it on through these functions and no others.
"""
