"""The command line, `evenload` or `kubectl evenload`: for people, some of them woken up by it.

Results go to stdout, everything else to stderr. Exit codes: 0 fine, 1 findings or unhealthy, 2 wrong usage, 3 could not
tell. An error names the thing, the likely cause and the next command. What the cluster says is printed without control
characters: a message from a pod must not be able to rewrite a terminal.
"""
