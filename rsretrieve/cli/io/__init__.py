"""What the commands read, print and write."""
