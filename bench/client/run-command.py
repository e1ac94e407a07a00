"""Runs a command and prints one line of JSON: its status, time, cost, and what it wrote to stdout.

Usage: run-command.py [--hash] PROGRAM ARGUMENT...

The cost is that of wait4(2): the CPU time of the command and of all descendants that it waited for, and the peak of the
largest of them, which counts from before exec(2) and so is never less than this process's (some 20 MB). As the HTTP
clients do, this copies every byte of stdout out of the kernel into one reused buffer.
"""
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

BUFFER_BYTES = 1024 * 1024

arguments = sys.argv[1:]
digest = hashlib.sha256() if arguments[0] == "--hash" else None
if digest:
    arguments.pop(0)
buffer = memoryview(bytearray(BUFFER_BYTES))

start = time.monotonic()
command = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
signal.signal(signal.SIGTERM, lambda *_: command.terminate())
stdout = command.stdout.fileno()
if hasattr(fcntl, "F_SETPIPE_SZ"):
    # From 64 KiB: less switching between the two, as on a socket.
    fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)
size = 0
first_byte = None
while count := os.readv(stdout, [buffer]):
    if first_byte is None:
        first_byte = time.monotonic()
    size += count
    if digest:
        digest.update(buffer[:count])
_, status, usage = os.wait4(command.pid, 0)
end = time.monotonic()

print(
    json.dumps(
        {
            "status": os.waitstatus_to_exitcode(status),
            "seconds": end - start,
            "bytes": size,
            "sha256": digest and digest.hexdigest(),
            "firstByteMs": first_byte and (first_byte - start) * 1000,
            "cpuSeconds": usage.ru_utime + usage.ru_stime,
            # Kilobytes, except on macOS, where it is bytes (getrusage(2)).
            "peakRssBytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        }
    )
)
