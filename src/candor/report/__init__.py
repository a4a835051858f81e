"""Tables, figures and the page, from saved files only."""
