"""Markov chains and weighted populations: a state in, a state and a block out."""

from flowlat.samplers.annealed import Annealed
from flowlat.samplers.base import Block, IndependentSampler, Sampler, State
from flowlat.samplers.cluster import Cluster
from flowlat.samplers.hmc import HMC
from flowlat.samplers.hybrid import Hybrid
from flowlat.samplers.independence.chain import (
    chain_index,
    independence_chain,
    longest_rejection_run,
)
from flowlat.samplers.latent_hmc import LatentHMC
from flowlat.samplers.mclmc import MCLMC
from flowlat.samplers.metropolis import Metropolis

__all__ = [
    "HMC",
    "MCLMC",
    "Annealed",
    "Block",
    "Cluster",
    "Hybrid",
    "IndependentSampler",
    "LatentHMC",
    "Metropolis",
    "Sampler",
    "State",
    "chain_index",
    "independence_chain",
    "longest_rejection_run",
]
