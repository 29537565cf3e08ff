"""Executors, which train the runs of a sweep: one after the other, with Ray, or with submitit."""
