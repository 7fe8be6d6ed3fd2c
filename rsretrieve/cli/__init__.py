"""The command line. No other package prints or exits."""

from rsretrieve._core.machine.threads import PROCESSORS, let_waiting_threads_sleep

let_waiting_threads_sleep()  # must run before NumPy is imported
PROCESSORS.start()  # measures the load while PyTorch is imported
