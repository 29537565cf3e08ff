"""What kernel size, stride and padding do: `python scripts/explain.py sample`."""

import sys

from convscope.explain.command import main

if __name__ == "__main__":
    sys.exit(main())
