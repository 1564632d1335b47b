"""Run by path before anything else: takes from Python what macOS or Windows lacks, and then runs the rest of the line.

`python lacking_system.py windows -m parity methods`, `... macos FILE ARGUMENTS`. What Python's own library needs to
work on Linux stays, and so does what libraries use that ask `sys.platform` (`os.uname`, `os.register_at_fork`).
"""

import builtins
import io
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile  # noqa: F401  (imported before anything is taken)

BOTH = {"os": ("sched_getaffinity", "sched_setaffinity", "sched_getparam", "memfd_create", "sendfile")}
WINDOWS = {
    "os": (
        "fork", "forkpty", "killpg", "getuid", "geteuid", "getgid", "setsid", "getpgid", "setpgid",
        "sysconf", "pread", "pwrite", "posix_fadvise", "posix_fallocate", "mkfifo", "statvfs", "chown", "nice",
        "getloadavg", "wait", "WNOHANG", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC",
    ),
    "signal": (
        "SIGKILL", "SIGHUP", "SIGXCPU", "SIGXFSZ", "SIGPIPE", "SIGSTOP", "SIGCONT", "SIGUSR1", "SIGUSR2", "SIGALRM",
        "setitimer", "alarm", "pthread_sigmask", "sigwait", "pause", "set_wakeup_fd",
    ),
}  # fmt: skip
MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")
PLACES = ("/proc", "/sys")


def lack(names, modules=()):
    for module, what in names.items():
        for name in what:
            if hasattr(sys.modules[module], name):
                delattr(sys.modules[module], name)
    for name in modules:
        sys.modules[name] = None


def hide(function):
    """Return `open` that finds none of `PLACES`."""

    def opened(file, *arguments, **options):
        if isinstance(file, (str, os.PathLike)) and os.fspath(file).startswith(PLACES):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(file))
        return function(file, *arguments, **options)

    return opened


def main():
    system, *rest = sys.argv[1:]
    lack(BOTH)
    builtins.open = io.open = hide(io.open)
    if hasattr(pathlib, "_NormalAccessor"):  # Python 3.10 keeps its own
        pathlib._NormalAccessor.open = staticmethod(io.open)
    if system == "windows":
        kill, code = os.kill, signal.SIGKILL
        subprocess.Popen.kill = lambda process: process.poll() is None and kill(process.pid, code)
        subprocess._waitpid = os.waitpid
        lack(WINDOWS, MODULES)
        import multiprocessing

        multiprocessing.set_start_method("spawn")
    own = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [entry for entry in sys.path if entry != own]
    if rest[0] == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


if __name__ == "__main__":
    main()
