"""Wrong ports, as a table: each must end red in a run, and a run in which one ends green has a judge that is blind."""
