"""Input files that the commands read, and the tables and files that they write."""
