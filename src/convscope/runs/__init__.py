"""A run on disk: identity, directory, lock, record and history. Imports no torch, no Hydra."""
