"""The command line. No other package prints or exits."""

from rsretrieve._core.threads import let_waiting_threads_sleep, watch_processors

let_waiting_threads_sleep()  # must run before NumPy is imported
watch_processors()  # measures the load while PyTorch is imported
