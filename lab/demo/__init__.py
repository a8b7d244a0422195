"""The postmortem, replayed on the lab twice: left alone, and with Evenload.

Both arms meet the same customers (same seed) and the same bad release. What the customers saw is the judge of both;
what Evenload says of itself is shown beside it. `python -m lab.demo --help`; pure parts: `incident` (the script),
`tally`, `story`, `view`, `summary`; the rest talks to the lab.
"""
