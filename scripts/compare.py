"""Which variants are better, by how much, at what cost: `python scripts/compare.py STUDY`."""

from convscope.cli.entry import compare

if __name__ == "__main__":
    compare()
