"""Numbers from predictions: numpy and scipy only."""

from candor.metrics.paired import Metric
from candor.metrics.summary import summary

__all__ = ["Metric", "summary"]
