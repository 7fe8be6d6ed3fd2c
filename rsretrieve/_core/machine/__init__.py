"""The machine and the process: memory, threads, cost of a run, launchers."""
