"""Answers of a model, of a server or of the study: made, written and read."""
