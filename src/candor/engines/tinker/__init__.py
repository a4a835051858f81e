"""A model behind the Tinker API: hosted, or on a server of one's own."""
