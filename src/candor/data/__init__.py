"""Datasets to examples: loaders, splits, audits."""
