"""A first look at a file that nobody vouches for, in a child process that may hang, crash or run out of memory.

HDF5 and the decoders of images are C code that damaged files send round in circles or out of bounds. So whoever reads
such a file has it read in a child process first, by the very same function, and only what comes through is read here.
"""

from parity.looks.process import look
from parity.looks.sizes import most_unpacked, problem_of_archive, too_large

__all__ = ["look", "most_unpacked", "problem_of_archive", "too_large"]
