"""`python3 -m lab.shop`."""

import sys

from lab.shop.server import main
from lab.shop.settings import parse

if __name__ == "__main__":
    sys.exit(main(parse(sys.argv[1:])))
