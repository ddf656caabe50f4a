#!/usr/bin/env bash
# The same range() of Hydra is three different sets of values: Hydra's Optuna sweeper tries the end, which
# Hydra's own sweeps leave out, and with optuna's grid sampler leaves out the last value of the range itself.
#
# Versions: hydra-core 1.3.8, hydra-optuna-sweeper 1.4.0.dev6, optuna 4.9.0, CPython 3.11.7, Linux.
#
# In the grammar of overrides range(start, stop, step) excludes stop, as Python's does, and so do Hydra's
# own sweeps. The Optuna sweeper turns it into a distribution of optuna with stop as its upper bound
# (create_optuna_distribution_from_override in hydra_plugins/hydra_optuna_sweeper/_impl.py), and those include it. For
# the grid sampler it makes a list of that distribution again (_to_grid_sampler_choices), of (high - low) // step values.
# Where the step meets stop this takes the end away again. Where it does not, optuna has lowered the upper
# bound to the last value there is, and that one is lost: 9 of range(1,10,2). So it is where the quotient of floats
# is rounded down: 1.0 // 0.1 is 9, and 0.9 of range(0,1,0.1) is lost. shuffle(range(...)) becomes a choice of values
# and is the same set with every sampler.
#
# Below: all values that occur, of the grid in its whole, and of a hundred trials at random.
#
# Output seen:
#   range(1,4)
#     sweep of Hydra: 1 2 3
#     optuna, random: 1 2 3 4
#     optuna, grid: 1 2 3
#   range(1,10,2)
#     sweep of Hydra: 1 3 5 7 9
#     optuna, random: 1 3 5 7 9
#     optuna, grid: 1 3 5 7
#   range(0,1,0.1)
#     sweep of Hydra: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9
#     optuna, random: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0
#     optuna, grid: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8
#   shuffle(range(1,10,2))
#     sweep of Hydra: 1 3 5 7 9
#     optuna, random: 1 3 5 7 9
#     optuna, grid: 1 3 5 7 9
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q hydra-core==1.3.8 hydra-optuna-sweeper==1.4.0.dev6 optuna==4.9.0
cd "$folder"

cat > program.py <<'PYTHON'
import hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    print(round(cfg.n, 6))
    return 0.0


if __name__ == "__main__":
    main()
PYTHON

values() {
    "$folder/venv/bin/python" program.py -m hydra/job_logging=disabled hydra/hydra_logging=disabled "$@" 2> errors |
        sort -n -u | xargs
}

for range in "range(1,4)" "range(1,10,2)" "range(0,1,0.1)" "shuffle(range(1,10,2))"; do
    optuna=("+n=$range" hydra/sweeper=optuna hydra.sweeper.n_trials=100)
    echo "$range"
    echo "  sweep of Hydra: $(values "+n=$range")"
    echo "  optuna, random: $(values "${optuna[@]}" hydra/sweeper/sampler=random hydra.sweeper.sampler.seed=0)"
    echo "  optuna, grid: $(values "${optuna[@]}" hydra/sweeper/sampler=grid)"
done > output
cat output
diff output - <<'EXPECTED'
range(1,4)
  sweep of Hydra: 1 2 3
  optuna, random: 1 2 3 4
  optuna, grid: 1 2 3
range(1,10,2)
  sweep of Hydra: 1 3 5 7 9
  optuna, random: 1 3 5 7 9
  optuna, grid: 1 3 5 7
range(0,1,0.1)
  sweep of Hydra: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9
  optuna, random: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0
  optuna, grid: 0.0 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8
shuffle(range(1,10,2))
  sweep of Hydra: 1 3 5 7 9
  optuna, random: 1 3 5 7 9
  optuna, grid: 1 3 5 7 9
EXPECTED
