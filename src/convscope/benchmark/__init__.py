"""The benchmark of training speed, against a loop written by hand and the usual pipeline."""
