"""What `find` and `change` read, print and write."""
