"""Train one variant, or sweep a grid with -m: `python scripts/train.py conv.stride=2`."""

from convscope.cli.entry import train

if __name__ == "__main__":
    train()
