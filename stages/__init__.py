"""One typer command per stage of dvc.yaml: read, call the library, write."""

import os

# Numpy's products add in another order on another number of threads: results must not depend on how
# many cores there are. And runs go side by side, one core each. Torch's threads are in params.yaml.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
