"""What a card says about the policy, read without torch."""

from hilam_core.cards import assets_warning, trained_assets


def test_assets_are_those_of_the_training_data_where_the_card_says():
    assert trained_assets({"data": {"assets": "builtin"}}) == "builtin"
    assert trained_assets({"data": None}) == "auto"
    assert trained_assets({}) == "auto"


def test_pictures_of_other_assets_than_trained_on_are_warned_of():
    card = {"data": {"assets": "builtin"}}
    warning = assets_warning(card, "official", "aa")
    assert "trained on pictures of the builtin assets and is shown the official ones" in warning
    assert "\n" not in warning
    assert assets_warning(card, "builtin", "aa") is None
    assert assets_warning({}, "official", "aa") is None


def test_assets_that_changed_since_training_are_warned_of():
    card = {"data": {"assets": "builtin", "assets_hash": "aa"}}
    assert assets_warning(card, "builtin", "aa") is None
    assert "had aa" in assets_warning(card, "builtin", "bb")
    assert "trained on pictures of the builtin" in assets_warning(card, "official", "bb")
