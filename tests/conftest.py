"""What holds for every test: signals as in a terminal, one thread a computation."""

import os
import signal

# A pytest started in the background ignores SIGINT, and what its tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Models here are so small that on a busy machine threads cost ten times what they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")
