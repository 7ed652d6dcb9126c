"""Benchmarks of mazewm against other libraries ("peers"): ``python -m benchmarks [NAME ...]``.

They are not part of the tests. Only the tests that check that the peers' results equal ours import
this package. All contenders use one thread; libraries read the number of threads when they are
first imported, so it is set here.
"""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("MAZEWM_DEVICE", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no benchmark needs to download anything
