"""Two sets of answers held against each other: from saved files, without a model."""
