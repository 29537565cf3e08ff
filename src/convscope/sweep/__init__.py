"""Many runs: one after the other, each on its own."""
