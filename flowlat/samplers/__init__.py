from flowlat.samplers.metropolis import (
    chain_index,
    independence_chain,
    longest_rejection_run,
)

__all__ = ["chain_index", "independence_chain", "longest_rejection_run"]
