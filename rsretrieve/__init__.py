"""Scene retrieval and label auditing that stay good when many labels are wrong."""

__version__ = "0.1.0"
