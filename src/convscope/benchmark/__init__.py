"""How fast training is, against what an expert writes by hand and against the usual pipeline."""
