"""candor's parts in other people's programs."""
