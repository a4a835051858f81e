"""A synthetic world of claims whose right answers are known, and the small model that starts out in it."""
