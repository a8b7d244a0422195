"""Incidents replayed on the lab twice: left alone, and with Evenload.

Both arms of a story meet the same customers (same seed) and the same fault. What the customers saw is the judge of
both; what Evenload says of itself is shown beside it. `python -m lab.demo --help`.

A story is a `script.Script`: `postmortem` or `connections`. `arms` plays an arm, `performance` all of it; pure parts:
`incident` (the postmortem's script), `tally`, `story` (what happened, in words), `view`, `summary`; the rest talks to
the lab.
"""
