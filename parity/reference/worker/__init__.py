"""The TensorFlow process: runs under the reference interpreter, never imported by the harness."""
