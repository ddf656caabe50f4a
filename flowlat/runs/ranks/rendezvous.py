"""The processes of srun meet, so that none waits without a word for one that was never started."""

import sys
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import torch.distributed as dist

from flowlat.utils.errors import RankError

if TYPE_CHECKING:
    from lightning.fabric.plugins.environments import ClusterEnvironment

#: seconds after which a process says for whom it waits; between two looks
PATIENCE, LOOK = 5.0, 0.2


def meet(cluster: "ClusterEnvironment", seconds: float, backend: str | None = None) -> None:
    """Form the process group, which Lightning then finds.

    PyTorch waits in C++, where no signal is heard. Here it does so in a thread, and this one is
    free for signals.

    Args:
        seconds: to wait for the others.
        backend: of the group; None is PyTorch's own choice.

    Raises:
        RankError: they did not come; it says which.
    """
    if dist.is_initialized():
        return
    rank, n, started = cluster.global_rank(), cluster.world_size(), time.monotonic()
    found: list[dist.TCPStore] = []
    failed: list[Exception] = []

    def connect() -> None:
        try:
            found.append(
                dist.TCPStore(
                    cluster.main_address,
                    cluster.main_port,
                    n,
                    is_master=rank == 0,
                    timeout=timedelta(seconds=seconds),
                    wait_for_workers=False,
                )
            )
            found[0].set(f"rank {rank}", "here")
        except Exception as error:  # of sockets, of several kinds
            failed.append(error)

    threading.Thread(target=connect, daemon=True).start()
    said = False
    while True:
        # without rank 0 there is nobody to ask
        missing = [0] if not found else [i for i in range(n) if not found[0].check([f"rank {i}"])]
        if not missing:
            break
        waited = time.monotonic() - started
        who = f"rank{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} of {n}"
        if failed or waited > seconds:
            raise RankError(
                f"rank_timeout={seconds:g}: {who} did not come; start with srun, which starts all"
            ) from (failed[0] if failed else None)
        if not said and waited > PATIENCE:
            print(f"waiting for {who}: start with srun", file=sys.stderr, flush=True)
            said = True
        time.sleep(LOOK)
    group = dist.PrefixStore("group", found[0])
    dist.init_process_group(backend, store=group, rank=rank, world_size=n)
