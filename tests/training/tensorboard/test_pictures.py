"""Pictures of filters, feature maps and mistakes: their sizes, ranges and pixels."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from convscope.geometry import NetworkGeometry
from convscope.modules import build_network, layer_outputs
from convscope.modules.graph_net import GraphNet
from convscope.training.tensorboard.pictures import (
    check_shapes,
    confusion_picture,
    filter_picture,
    map_picture,
    run_pictures,
)

from ...convs import parse_conv, stack_geometry


@pytest.fixture
def geometry() -> NetworkGeometry:
    return stack_geometry((1, 28, 28), parse_conv(3, 2, 1, 2), [4, 70], [1], 10)


@pytest.fixture
def network(geometry: NetworkGeometry) -> GraphNet:
    torch.manual_seed(0)
    return build_network(geometry)


def hooks(network: GraphNet) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


@pytest.mark.parametrize("training", [True, False])
def test_outputs_of_layers_are_what_the_layers_give(network: GraphNet, training: bool) -> None:
    """The ReLU works in place: what it makes of its input must not show in the conv's output."""
    network.train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(2, 1, 28, 28)
    outputs = layer_outputs(network, ["conv1", "norm1", "relu1"], images)
    assert torch.equal(outputs["conv1"], network.features.get_submodule("conv1")(images))
    assert torch.equal(outputs["relu1"], outputs["norm1"].clamp(min=0))
    assert outputs["norm1"].min() < 0
    assert network.training == training
    assert hooks(network) == 0
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_an_error_leaves_no_hook_and_no_other_mode(network: GraphNet) -> None:
    network.train()
    with pytest.raises(RuntimeError):
        layer_outputs(network, ["conv1"], torch.rand(2, 5, 28, 28))
    assert network.training
    assert hooks(network) == 0


def test_a_geometry_that_is_not_the_network_s_is_found_out(network: GraphNet) -> None:
    images = torch.rand(1, 1, 28, 28)
    right = stack_geometry((1, 28, 28), parse_conv(3, 2, 1, 2), [4, 70], [1], 10)
    check_shapes(network, right, images)
    wrong = stack_geometry((1, 28, 28), parse_conv(3, [2, 1], 1, 2), [4, 70], [1], 10)
    with pytest.raises(
        RuntimeError, match=r"^conv2 gives \(70, 4, 4\), its geometry says \(70, 7, 7\)$"
    ):
        check_shapes(network, wrong, images)


def test_grey_filters_are_drawn_about_zero() -> None:
    """A 3 x 3 filter is drawn at 21 pixels to one: 63, and 4 of white about each."""
    weight = torch.zeros(2, 1, 3, 3)
    weight[0, 0] = torch.tensor([[-2.0, 0, 2], [1, 0, 0], [0, 0, 0]])
    picture = filter_picture(weight)
    assert picture.shape == (3, 63 + 8, 2 * 63 + 3 * 4)
    first = picture[:, 4 + 10 : 4 + 63 : 21, 4 + 10 : 4 + 63 : 21]
    for channel in first:
        assert channel.tolist() == [[0.0, 0.5, 1.0], [0.75, 0.5, 0.5], [0.5, 0.5, 0.5]]
    assert (picture[:, 4:67, 71:134] == 0.5).all()
    assert (picture[:, :4] == 1).all()


def test_filters_of_three_channels_are_coloured() -> None:
    weight = torch.zeros(1, 3, 1, 1)
    weight[0, 0] = 1
    weight[0, 2] = -0.5
    picture = filter_picture(weight)
    assert picture[:, 30, 30].tolist() == [1.0, 0.5, 0.25]


def test_filters_of_other_depths_are_drawn_by_their_mean() -> None:
    weight = torch.zeros(1, 2, 1, 2)
    weight[0, :, 0, 0] = torch.tensor([1.0, 3.0])
    weight[0, :, 0, 1] = torch.tensor([-1.0, 0.0])
    picture = filter_picture(weight)
    assert picture[:, 10, 10].tolist() == [1.0] * 3
    assert picture[:, 10, 60].tolist() == [0.375] * 3


def test_each_map_is_drawn_from_its_least_to_its_most() -> None:
    maps = torch.stack([torch.tensor([[-1.0, 3.0], [1.0, 0.0]]), torch.full((2, 2), 7.0)])
    picture = map_picture(maps)
    assert picture.shape == (3, 64 + 8, 2 * 64 + 3 * 4)
    assert picture[0, 20:60:32, 20:60:32].tolist() == [[0.0, 1.0], [0.5, 0.25]]
    assert (picture[:, 4:68, 72:136] == 0).all()


def test_no_more_than_64_maps_are_drawn() -> None:
    assert map_picture(torch.rand(70, 64, 64)).shape == (3, 8 * 68 + 4, 8 * 68 + 4)
    assert map_picture(torch.rand(3, 100, 90)).shape == (3, 108, 3 * 94 + 4)


def test_maps_of_one_pixel_and_no_number_stay_within_range() -> None:
    assert map_picture(torch.rand(3, 1, 1)).isfinite().all()
    assert filter_picture(torch.zeros(4, 1, 3, 3)).isfinite().all()


def test_a_run_s_pictures(network: GraphNet, geometry: NetworkGeometry) -> None:
    pictures = run_pictures(network, geometry, torch.rand(1, 1, 28, 28))
    assert list(pictures) == ["filters/conv1", "feature_maps/conv1", "feature_maps/conv2"]
    for picture in pictures.values():
        assert picture.shape[0] == 3
        assert picture.dtype == torch.float32
        assert 0 <= picture.min() <= picture.max() <= 1
    weight = network.features.get_submodule("conv1").weight
    assert torch.equal(pictures["filters/conv1"], filter_picture(weight))  # type: ignore[arg-type]


def drawn(figure: Figure) -> dict[tuple[int, int], str]:
    (axes,) = figure.axes
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}


def test_confusion_counts_true_classes_down_and_predicted_ones_across() -> None:
    counts = torch.tensor([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    figure = confusion_picture(counts, ["a", "b", "c"])
    (axes,) = figure.axes
    assert drawn(figure) == {(0, 0): "8", (0, 1): "2", (1, 1): "5"}
    np.testing.assert_allclose(
        axes.images[0].get_array(), [[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], rtol=1e-6
    )
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]


def test_many_classes_are_shaded_and_not_numbered() -> None:
    figure = confusion_picture(torch.ones(100, 100, dtype=torch.long), [str(i) for i in range(100)])
    assert drawn(figure) == {}
