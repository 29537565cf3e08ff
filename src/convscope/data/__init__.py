"""Images: where they come from, the decoded cache, and batches made on the device.

``batches``, ``augment`` and ``order`` need torch and are imported by their own names.
"""

from convscope.data.facts import DATASETS, Facts, dataset_facts
from convscope.data.sources import load, resolve_auto

__all__ = ["DATASETS", "Facts", "dataset_facts", "load", "resolve_auto"]
