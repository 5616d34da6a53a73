from spikeprune.wiring import notes


def test_a_long_list_of_names_is_shortened():
    names = [f"layer{i}" for i in range(9)]
    assert notes.not_counted(names).endswith("layer4, layer5 and 3 more")
    assert notes.not_counted(names[:6]).endswith("layer4, layer5")


def test_the_net_itself_has_a_name():
    assert "the neurons of head, the net, which" in notes.hidden_in_eval_mode(["", "head"])
