"""All that people write: recipes and their parts, checked and explained."""
