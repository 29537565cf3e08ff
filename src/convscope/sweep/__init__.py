"""Many runs: planning, order of training, time estimates, training on executors, and searches."""
