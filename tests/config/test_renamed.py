"""Files from before a name moved name the same things."""

from flowlat.config.renamed import with_new_names


def test_targets_get_their_new_names_at_any_level_of_a_config():
    logger = {"_target_": "flowlat.loggers.Wandb", "offline": True}
    config = {
        "evaluation": {"_target_": "flowlat.callbacks.Evaluation"},
        "logger": {"wandb": logger},
        "action": {"_target_": "flowlat.actions.Phi4", "m2": 1.0},
        "seed": 0,
    }
    renamed = with_new_names(config)
    assert renamed["evaluation"]["_target_"] == "flowlat.training.callbacks.Evaluation"
    assert renamed["logger"]["wandb"]["_target_"] == "flowlat.training.loggers.Wandb"
    assert renamed["action"] == config["action"]
    assert renamed["seed"] == 0
    assert logger["_target_"] == "flowlat.loggers.Wandb"


def test_what_has_no_end_is_left_as_it_is():
    endless = {}
    endless["more"] = endless
    assert with_new_names({"lattice": endless})["lattice"]["more"] == {"more": endless}
    assert with_new_names(None) is None
