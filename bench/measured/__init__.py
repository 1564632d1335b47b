"""What pytest-benchmark runs: `bench.harness` fills in the cases."""
