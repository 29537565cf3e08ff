"""Many runs: what is to be done, in which order, how long it takes, and doing it."""
