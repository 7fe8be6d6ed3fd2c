"""The targets of training: which label each tile is taught, and with which weight."""
