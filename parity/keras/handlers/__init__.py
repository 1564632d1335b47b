"""How each Keras layer becomes torch modules: one table, one file per family of layers."""
