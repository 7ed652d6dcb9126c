"""One typer command for each stage of dvc.yaml: it reads, calls the library and writes."""

import os

# With another number of threads, numpy's matrix products add in another order, and results must not
# depend on the number of cores. Also, runs go in parallel, one core each. params.yaml sets torch's
# threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
