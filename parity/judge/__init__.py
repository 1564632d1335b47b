"""What the numbers of a case say: metrics, limits, verdicts, known differences, and the trial of the judge itself."""
