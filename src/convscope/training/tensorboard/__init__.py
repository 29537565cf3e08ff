"""What TensorBoard shows of a run: event files, HPARAMS, charts and pictures."""
