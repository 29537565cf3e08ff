"""What happens during a run besides training, one Lightning callback per file."""
