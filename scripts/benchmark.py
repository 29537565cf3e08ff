"""How fast training is, and how fast it could be: `python scripts/benchmark.py --quick`."""

from convscope.cli.entry import benchmark

if __name__ == "__main__":
    benchmark()
