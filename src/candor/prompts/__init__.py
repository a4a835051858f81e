"""What a model is asked, and how its answers are written and read: as text and as tokens."""
