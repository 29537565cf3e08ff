"""Optimizer steps: one on a batch, and many without overhead."""
