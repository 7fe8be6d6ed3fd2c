"""Arguments of public functions: what they mean, and whether they make sense."""
