"""The API server's side: one thin asyncio client, list-watches, and a leader's lease.

Here belongs what speaks HTTP with the API server; nothing here knows what a Balancer means. Every failure comes out as
one of the exceptions of `evenload.errors`, sorted by what the caller should do next.
"""
