"""What the numbers say, in plain sentences: what wins, what limits that, how it was measured."""

from convscope.analysis.findings.caveats import caveats
from convscope.analysis.findings.methods import describe_methods
from convscope.analysis.findings.ranking import headlines, summarize

__all__ = ["caveats", "describe_methods", "headlines", "summarize"]
