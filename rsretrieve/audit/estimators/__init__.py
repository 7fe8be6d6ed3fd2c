"""The estimators that score each label, and how they are combined."""
