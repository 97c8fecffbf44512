"""Two machines in one: network namespaces, and a cable between them that delays, loses, and can be cut.

The kernel's netem is a module that small machines lack, so a thread carries the frames.
"""

import contextlib
import heapq
import itertools
import os
import random
import select
import socket
import subprocess
import threading
import time

ALL_FRAMES = 3
OUTGOING = 4  # what a packet socket itself has sent comes back to it
# Frames that another program carries need whole checksums, which the kernel otherwise leaves to the hardware.
NO_OFFLOAD = """
import array, fcntl, socket, struct, sys
wish = array.array("B", struct.pack("II", 0x17, 0))  # ETHTOOL_STXCSUM
request = struct.pack("16sP8x", sys.argv[1].encode(), wish.buffer_info()[0])
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
"""


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Wire:
    """The namespaces `arm` and `brain`, each with one interface.

    delay_s, jitter_s: of a frame, one way; loss: share of frames; `whole` is False while it is cut.
    """

    def __init__(self, delay_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0):
        self.delay_s, self.jitter_s, self.loss, self.whole = delay_s, jitter_s, loss, True
        mark = str(os.getpid())
        self.arm, self.brain = f"arm{mark}", f"brain{mark}"
        self.sockets: dict[socket.socket, socket.socket] = {}
        self.ended = False

    def __enter__(self) -> "Wire":
        ends = []
        for number, space in enumerate((self.arm, self.brain), 1):
            near, far = f"w{number}n{os.getpid()}", "wire0"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
            run("ip", "link", "set", near, "up")
            run("ip", "-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", far)
            for device in ("lo", far):
                run("ip", "-n", space, "link", "set", device, "up")
            run("ip", "netns", "exec", space, "python3", "-c", NO_OFFLOAD, far)
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
            end.bind((near, ALL_FRAMES))
            ends.append(end)
        self.sockets = {ends[0]: ends[1], ends[1]: ends[0]}
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended = True
        if self.sockets:
            self.thread.join()
        for end in self.sockets:
            end.close()
        for space in (self.arm, self.brain):
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "del", space)

    def carry(self) -> None:
        """Take frames from each end, and give them to the other when they are due."""
        waiting: list[tuple[float, int, socket.socket, bytes]] = []
        numbers = itertools.count()
        while not self.ended:
            wait_s = min(0.05, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for end in select.select(list(self.sockets), [], [], wait_s)[0]:
                frame, address = end.recvfrom(65535)
                if address[2] == OUTGOING or not self.whole or random.random() < self.loss:
                    continue
                due_s = time.monotonic() + max(0.0, random.gauss(self.delay_s, self.jitter_s))
                heapq.heappush(waiting, (due_s, next(numbers), self.sockets[end], frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, frame = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # longer than the interface takes
                    end.send(frame)
