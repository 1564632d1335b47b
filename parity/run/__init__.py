"""A run: its cases, the questions put to the references, the subjects, and the results document."""
