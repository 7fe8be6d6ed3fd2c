"""Train with several processes, one for each GPU. Only `processes.py` uses torch.distributed."""
