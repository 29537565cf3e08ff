"""One run on several devices: a process for each, under the command that claimed the run."""
