"""Search an index: queries, filters, rankings."""
