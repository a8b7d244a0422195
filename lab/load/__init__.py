"""The demo's customers: an open-loop load with a fixed seed, and the record by which every result is judged.

Open loop means that a request leaves at its scheduled time whether or not earlier ones came back, and that its latency
counts from that time. A closed loop would slow down with a sick server and so hide what its users feel ("coordinated
omission"). `python3 -m lab.load --help` runs it; `generator.run` is the same for Python; `analysis` judges the records.
"""
