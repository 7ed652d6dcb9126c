"""What mazewm does beside what other libraries do: ``python -m benchmarks [NAME ...]``.

Never part of the tests, and nothing else imports it but the tests that hold the peers' results
equal to ours. Everything counts on one thread; a library reads how many it may use when it is
first imported, so that is said here.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("MAZEWM_DEVICE", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no benchmark needs what is not on this disk
