"""Tables, figures and the page, from saved files only: nothing here loads a model."""
