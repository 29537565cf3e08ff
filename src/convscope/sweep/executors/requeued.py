"""`work` as a job that its cluster may stop and start again."""

from __future__ import annotations

import sys
from typing import Any

from submitit.helpers import Checkpointable

from convscope.runs.record import RunRecord
from convscope.sweep.executors.worker import work


class RequeuedWork(Checkpointable):
    """Does `work`; as Checkpointable, a job that is preempted or out of time is queued again.

    What is started anew resumes from the run's last finished epoch.
    """

    def __call__(self, *arguments: Any) -> RunRecord | None:
        record = work(*arguments)
        if record is not None and record.status == "interrupted":
            # No result: where the cluster has stopped the job to start it again, it is not over.
            sys.exit(1)
        return record
