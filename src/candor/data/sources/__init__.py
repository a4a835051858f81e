"""Loaders: one module for each form in which people keep claims."""
