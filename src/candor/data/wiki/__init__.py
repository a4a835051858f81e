"""FEVER's Wikipedia pages: an index on disk, and retrieval of evidence from it."""
