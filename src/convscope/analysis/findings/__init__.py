"""Findings on a comparison: the ranking of the variants, caveats, and methods."""

from convscope.analysis.findings.caveats import caveats, latency_machines
from convscope.analysis.findings.finding import Finding, sentences
from convscope.analysis.findings.methods import describe_methods
from convscope.analysis.findings.ranking import headlines, summarize

__all__ = [
    "Finding",
    "caveats",
    "describe_methods",
    "headlines",
    "latency_machines",
    "sentences",
    "summarize",
]
