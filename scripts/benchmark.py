"""How fast training is, and how fast it could be: `python scripts/benchmark.py --quick`."""

import sys

from convscope.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main())
