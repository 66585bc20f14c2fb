"""How the weights that come with regionflow were trained."""
