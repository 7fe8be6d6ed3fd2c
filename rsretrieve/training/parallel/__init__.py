"""Train with several processes. Only `process_group.py` uses torch.distributed."""
