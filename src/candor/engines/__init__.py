"""Everything that touches a model."""
