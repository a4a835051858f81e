"""Numbers from predictions: numpy and scipy only."""
