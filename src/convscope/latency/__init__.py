"""Inference latency of trained networks, measured on request."""
