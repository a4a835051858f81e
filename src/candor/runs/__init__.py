"""From a recipe to a finished run folder: stages, the grid of arms and seeds, workers, what it will take."""
