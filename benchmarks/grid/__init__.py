"""The cells of the benchmarks under label noise: what they are, how one is run, what is kept."""
