"""The prefix tree: every unique token of a batch is run once, forward and backward."""
