"""Private helpers without any domain: files, paths, tables, memory, random numbers."""
