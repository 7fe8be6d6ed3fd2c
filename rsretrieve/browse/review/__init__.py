"""The review of labels in the app: the page of `audit-labels --page`, with pictures on demand."""
