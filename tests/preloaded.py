"""Scripts that start without the seconds their imports take: each is a fork of one process that has imported already.

python tests/preloaded.py SOCKET            that process
python -S tests/preloaded.py SOCKET SCRIPT  in place of python SCRIPT
"""

import array
import json
import os
import socket
import sys

LONGEST = 1 << 20  # bytes of an environment


def ask(address, script):
    """Let the script run on the streams of this process; return its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        message = json.dumps([script, os.getcwd(), dict(os.environ)]).encode()
        streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
        connection.sendmsg([message[:1]], streams)
        connection.sendall(message[1:])
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(16) or b"1")


def serve(address):
    """Fork for every script that is asked for, one after the other."""
    import importlib

    names = ["torch", "numpy", "pandas", "scipy.ndimage", "scipy.stats", "scipy.spatial", "scipy.optimize"]
    names += ["skimage.segmentation", "matplotlib.pyplot", "tifffile", "zarr", "jinja2", "cellpose.models"]
    for name in names:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        while True:
            with listening.accept()[0] as connection:
                answer(connection)


def answer(connection):
    first, streams, _, _ = socket.recv_fds(connection, 1, 3)
    parts = [first]
    while part := connection.recv(LONGEST):
        parts.append(part)
    child = os.fork()
    if not child:
        run(json.loads(b"".join(parts)), streams)
    for stream in streams:
        os.close(stream)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(abs(status)).encode())


def run(request, streams):
    """Become the process of the script."""
    import runpy
    import traceback

    script, folder, environment = request
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0], status = [script], os.path.dirname(script), 0
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(sys.argv[1])
    sys.exit(ask(*sys.argv[1:]))
