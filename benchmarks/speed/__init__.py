"""The parts of `benchmarks/throughput.py`."""
