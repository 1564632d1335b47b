"""Bare operations between layers, spelled as layers of Keras: one table by name, one file per kind of function."""
