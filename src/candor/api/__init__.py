"""candor from Python: what ``import candor`` hands out, for programs and notebooks."""
