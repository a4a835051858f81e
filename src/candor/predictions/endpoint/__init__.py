"""Answers of a server that speaks the OpenAI API."""
