#!/usr/bin/env bash
# A process of the standard library's "spawn" cannot be started within a worker of joblib.
#
# Versions: joblib 1.6.0 (loky inside), CPython 3.11.7, Linux.
#
# multiprocessing.get_context("spawn").Process(...).start() is the documented way to a new process that
# inherits nothing, whatever the program's own start method is. Within a job of joblib's default backend the
# new process dies before its target runs: a worker of loky has the start method "loky", spawn hands the start
# method of its parent on to the child, and the child, in which nobody has imported loky, has no context of
# that name. The parent sees an exit code of 1 and no exception. Outside a worker the same lines work, and
# so they do in a worker once it calls multiprocessing.set_start_method("spawn", force=True), which the third
# line of the output shows. PyTorch's launchers (torch.multiprocessing.spawn, torch.distributed.elastic) and
# concurrent.futures stand on these lines; Hydra's joblib launcher runs its jobs in such workers.
#
# Output seen:
#   alone: start method None, exit code 0
#   in a worker: start method loky, exit code 1
#   in a worker, start method set first: start method spawn, exit code 0
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q joblib==1.6.0
cd "$folder"

cat > task.py <<'PYTHON'
import multiprocessing


def child():
    pass


def job(first):
    if first:
        multiprocessing.set_start_method(first, force=True)
    method = multiprocessing.get_start_method(allow_none=True)
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
    return f"start method {method}, exit code {process.exitcode}"
PYTHON

cat > program.py <<'PYTHON'
from joblib import Parallel, delayed

from task import job

if __name__ == "__main__":
    print("alone:", job(None))
    for words, first in (("in a worker", None), ("in a worker, start method set first", "spawn")):
        print(f"{words}:", Parallel(n_jobs=2)(delayed(job)(first) for _ in range(2))[0])
PYTHON

"$folder/venv/bin/python" program.py > output 2> errors
cat output
diff output - <<'EXPECTED'
alone: start method None, exit code 0
in a worker: start method loky, exit code 1
in a worker, start method set first: start method spawn, exit code 0
EXPECTED
grep -q "cannot find context for 'loky'" errors
