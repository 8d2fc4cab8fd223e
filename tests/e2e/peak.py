"""Runs a program and adds its peak memory in KiB to its standard error: peak.py PROGRAM ARGUMENT...

A process of its own, for a child's peak begins with its parent's."""
import os
import sys

if __name__ == "__main__":
    pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    _, status, usage = os.wait4(pid, 0)
    sys.stderr.write(f"\npeak {usage.ru_maxrss}\n")
    sys.exit(os.waitstatus_to_exitcode(status))
