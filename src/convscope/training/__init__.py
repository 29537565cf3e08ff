"""From a config to a finished run: `train(request) -> RunRecord`."""
