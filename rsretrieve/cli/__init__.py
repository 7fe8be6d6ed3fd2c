"""The program: a file a subcommand; the only code that prints or exits."""

from rsretrieve._core.threads import let_waiting_threads_sleep, watch_processors

let_waiting_threads_sleep()  # before a command imports NumPy
watch_processors()  # while PyTorch is imported
