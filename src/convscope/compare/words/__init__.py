"""What the numbers say, in plain sentences: what wins, what limits that, how it was measured."""

from convscope.compare.words.limits import caveats
from convscope.compare.words.method import measured
from convscope.compare.words.winner import headlines, verdict

__all__ = ["caveats", "headlines", "measured", "verdict"]
