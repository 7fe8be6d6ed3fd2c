"""Which label each tile is trained with, and with which weight."""
