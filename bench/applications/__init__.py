"""The families of keras.applications through the harness: one member each, with random weights."""
