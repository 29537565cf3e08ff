"""What kernel size, stride and padding do: `python scripts/explain.py sample`."""

from convscope.cli.entry import explain

if __name__ == "__main__":
    explain()
