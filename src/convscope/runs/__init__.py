"""A run on disk: its identity, directory, lock, record and history. No torch, no Hydra."""
