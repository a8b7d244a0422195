"""`python -m evenload` is the command line; `python -m evenload run` the operator, without the weight of the former."""

import sys

if sys.argv[1:] == ["run"]:
    from evenload.app import main
else:
    from evenload.cli.main import main

main()
