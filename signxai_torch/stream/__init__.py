"""Explaining sets of inputs of any size, batch by batch, into files."""
