"""What the numbers say, in plain sentences: what wins, what limits that, how it was measured."""

from convscope.analysis.findings.caveats import caveats
from convscope.analysis.findings.methods import measured
from convscope.analysis.findings.ranking import headlines, verdict

__all__ = ["caveats", "headlines", "measured", "verdict"]
