import io

import numpy as np
import pytest
from PIL import Image

from pipeline.motion.preview import contact_sheet, still
from pipeline.motion.synthesizer import synthesize


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def orange(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > image[..., 2] + 60) & (image[..., 0] > 110)


@pytest.fixture(scope="module")
def running(request_on, straight):
    return synthesize(request_on(straight(4.0)))


def test_a_clip_on_a_way_shows_several_bodies_along_it(running):
    image = pixels(still(running))
    assert image.shape == (360, 640, 3)
    columns = np.flatnonzero(orange(image).any(axis=0))
    assert np.ptp(columns) > 250 and orange(image).sum() > 1500


def test_a_clip_that_stays_shows_its_poses_side_by_side(request_on, straight):
    image = orange(pixels(still(synthesize(request_on(straight(0.0), intent="hold")))))
    starts = np.diff(image.any(axis=0).astype(int))
    assert 4 <= int((starts == 1).sum()) <= 12


def test_the_other_side_wears_other_colours(request_on, straight):
    image = pixels(still(synthesize(request_on(straight(4.0), attacker=False))))
    assert orange(image).sum() < 150 < (image[..., 2] > image[..., 0] + 60).sum()


def test_the_same_clip_gives_the_same_picture(running):
    assert still(running) == still(running)


def test_ground_that_climbs_is_drawn_climbing(request_on, straight):
    way = straight(2.0)
    flat, stairs = (
        pixels(still(synthesize(request_on(way, height=height))))
        for height in (0.0, np.clip(0.6 * (way[:, 0] - 3.0), 0.0, 2.4))
    )
    assert np.mean(np.abs(flat - stairs)) > 2.0 and orange(stairs).sum() > 800


def test_a_contact_sheet_holds_all_pictures_and_refuses_none(running):
    picture = still(running)
    sheet = Image.open(io.BytesIO(contact_sheet([picture] * 4, ["a", "b", "c", "d"])))
    assert sheet.format == "JPEG" and sheet.width > 3 * 480 and sheet.height > 2 * 270
    with pytest.raises(ValueError, match="0 pictures"):
        contact_sheet([], [])
    with pytest.raises(ValueError, match="1 pictures and 2 captions"):
        contact_sheet([picture], ["a", "b"])
