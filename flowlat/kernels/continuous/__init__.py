"""The nonlinearity of the continuous flow."""
