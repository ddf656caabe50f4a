from flowlat.samplers.metropolis import independence_chain, longest_rejection_run

__all__ = ["independence_chain", "longest_rejection_run"]
