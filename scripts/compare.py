"""Which variants are better, by how much, at what cost: `python scripts/compare.py STUDY`."""

import sys

from convscope.compare.command import main

if __name__ == "__main__":
    sys.exit(main())
