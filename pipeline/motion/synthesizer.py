"""From a request to a clip: people who really go from one spot to another.

Belongs here: the order of the steps. Does not belong here: any one step.

The path is planned first and is the authority; directions, gait and footfalls follow from it; feet are moved between
their stances; the trunk stands over them; legs and arms are solved; the margins are cut off.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from configs.motion import MotionConfig, load_motion
from pipeline.motion import actions, arms, feet, fitting, footfalls, gait, headings, legs, path, posture
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.falling import fall
from pipeline.motion.headings import limit
from pipeline.motion.path import Infeasible
from pipeline.motion.rotations import Array, body, continuous, rotate, unit, wrap
from pipeline.motion.score import Score
from pipeline.motion.skeleton import INDEX, JOINTS, OFFSETS, locals_of

__all__ = ["Clip", "ClipRequest", "Infeasible", "synthesize"]

HELD_M = 0.002
"""A foot is in contact where the leg really reaches its planned place, to this."""


def synthesize(request: ClipRequest, config: MotionConfig | None = None) -> Clip:
    """A motion on the requested path.

    Args:
        request: the moment.
        config: defaults to `configs/motion.yaml`.

    Returns:
        A clip of `floor((to_ms - from_ms) · fps / 1000) + 1` frames (and, of who dies, those of the fall), the same for
        the same request and configuration.

    Raises:
        Infeasible: when the samples hold a teleport, a gap, or too little; the message says where.
    """
    config = config or load_motion()
    fps = config.clips.fps
    rng = np.random.default_rng(request.seed)
    way = path.plan(request, config.clips, config.path)
    score = Score(request, way, config)
    kneel = score.kneel()
    look = headings.directions(
        way,
        fps,
        config.gait.still_mps,
        config.turning,
        chest=score.mixed(lambda how: how.chest),
        head=score.mixed(lambda how: how.head),
        fixed=kneel > 0.2,
    )
    speed = np.maximum(path.smooth(way.speed, 0.10 * fps), 0.0)
    manner = gait.manner(speed, wrap(look.travel - look.hips) * look.going, way.slope, config.gait)
    parts, action = score.actions(look, kneel, rng)
    settling = config.body.settling_s * fps
    carriage = gait.settled(manner, settling, 1.0 - config.body.restless * way.restless)
    carried = replace(look, going=np.clip(path.smooth(look.going, settling), 0.0, 1.0))
    plan = footfalls.plan(
        way,
        look,
        manner,
        _places(manner, look, action, score.stance(), config),
        config.gait,
        config.turning,
        hurried=float(np.radians(config.body.hurried_deg)),
        phase=float(rng.random()),
    )
    tucked = np.stack([np.zeros(way.time.size), np.radians(config.body.kneel_tuck_deg) * action.kneel], axis=-1)
    plan, trunk, limbs = _fitted(plan, way, manner, carried, carriage, tucked, look, action, config)
    held = score.arms(
        [
            arms.hold(
                how.arms,
                config.poses,
                trunk,
                way.view,
                way.pitch,
                look.chest,
                carriage,
                plan.stride,
                carried.going,
                part,
                recoil_m=config.actions.recoil_m,
            )
            for how, part in zip(score.hows, parts, strict=True)
        ]
    )
    turned = np.zeros((way.time.size, len(JOINTS), 4))
    turned[..., 3] = 1.0
    _set(turned, ("Pelvis", "Spine1", "Spine2", "Spine3"), (trunk.pelvis, *trunk.spine))
    _set(turned, ("Neck", "Head", "L_Collar", "R_Collar"), (trunk.neck, trunk.head, trunk.spine[2], trunk.spine[2]))
    held_down = np.zeros((way.time.size, 2), dtype=bool)
    for k, (side, limb) in enumerate(zip("LR", limbs, strict=True)):
        held_down[:, k] = limb.foot.contact & (np.max(np.abs(limb.ankle - trunk.feet[k].ankle), axis=-1) < HELD_M)
        toes = body(limb.foot.yaw, limb.foot.toe, np.zeros_like(limb.foot.yaw))
        _set(
            turned,
            tuple(f"{side}_{part}" for part in ("Hip", "Knee", "Ankle", "Foot")),
            (limb.thigh, limb.shank, limb.foot.turned, toes),
        )
        _set(
            turned,
            tuple(f"{side}_{part}" for part in ("Shoulder", "Elbow", "Wrist")),
            (held.upper[k], held.fore[k], held.hand[k]),
        )
    rotations = continuous(unit(locals_of(turned[way.clip])))
    end = float(way.time[way.clip.stop - 1])
    prints = [
        (s.x, s.y, s.z, s.yaw, float(foot), s.on, min(s.off, end + 1.0))
        for foot, stances in enumerate(plan.stances)
        for s in stances
        if s.off > -0.8 and s.on < end + 0.8 and s.off - s.on > 0.02
    ]
    clip = Clip(
        rotations=rotations,
        root=trunk.root[way.clip],
        contacts=held_down[way.clip],
        fps=fps,
        path=np.stack([way.ground[:, 0], way.floor + way.air, way.ground[:, 1]], axis=-1)[way.clip],
        heading=way.view[way.clip],
        footprints=np.array(prints, dtype=np.float64).reshape(-1, 7),
        origin=way.origin,
        intent=request.intent,
        attacker=request.attacker,
        notes={
            "path_deviation_max_m": float(way.deviation.max()),
            "path_deviation_mean_m": float(way.deviation.mean()),
            "path_bound_m": config.path.bound_m,
            "path_peak_mps": float(way.speed[way.clip].max()),
            "sample_gap_s": way.gap_s,
            "interpolated": float(way.seldom),
            "planar": float(way.planar),
            "samples": float(np.sum((request.t_ms >= request.from_ms) & (request.t_ms <= request.to_ms))),
        },
    )
    return fall(clip, request.seed, config.falling) if request.dies else clip


def _fitted(
    plan: footfalls.Plan,
    way: path.Path,
    manner: gait.Manner,
    carried: headings.Headings,
    carriage: gait.Manner,
    tucked: Array,
    look: headings.Headings,
    action: actions.Action,
    config: MotionConfig,
) -> tuple[footfalls.Plan, posture.Posture, tuple[fitting.Leg, fitting.Leg]]:
    """The trunk and legs that can carry out a plan, which gives way where none can."""
    fit, again = config.fitting, 0
    while True:
        moved = feet.move(plan, way, manner, tucked, config.swing, config.body.tuck_m)
        moved = feet.passing(moved, plan, way.time, look.hips, config.swing)
        trunk = posture.stand(
            way,
            carried,
            carriage,
            plan,
            moved,
            action,
            kneel_m=config.actions.kneel_m,
            reach=config.gait.max_reach,
            tiptoe=config.gait.tiptoe_m,
            recoil=float(np.radians(config.actions.recoil_deg)),
            fps=config.clips.fps,
            turning=config.turning,
            swing=config.swing,
            limbs=config.body,
        )
        for _ in range(fit.ways):
            limbs = _legs(trunk, look, config)
            found = fitting.faults(limbs, trunk.pelvis, look.hips, way.clip, config.limits, fit)
            contacts = np.stack([foot.contact for foot in trunk.feet], axis=-1)
            wrong = found.of_stances(contacts)
            if (wrong.any() and again < fit.plans) or not found.in_the_air(contacts):
                break
            trunk = replace(trunk, feet=fitting.given_way(trunk.feet, found, look.hips, fit))
        if again >= fit.plans or not wrong.any():
            return plan, trunk, limbs
        plan, again = fitting.shortened(plan, way.time, wrong, fit), again + 1


def _legs(trunk: posture.Posture, look: headings.Headings, config: MotionConfig) -> tuple[fitting.Leg, fitting.Leg]:
    """Both legs between a trunk and its feet."""
    out = []
    for side, name, foot in zip((1.0, -1.0), ("L_Hip", "R_Hip"), trunk.feet, strict=True):
        hip = trunk.root + rotate(trunk.pelvis, OFFSETS[INDEX[name]])
        knee_heading = legs.knees(look.hips, foot.yaw, side, config.limits)
        left = np.stack([np.cos(knee_heading), np.zeros_like(knee_heading), -np.sin(knee_heading)], axis=-1)
        thigh, shank, reached = legs.solve(
            hip,
            foot.ankle,
            trunk.pelvis,
            left,
            foot.contact,
            side=side,
            reach=config.gait.max_reach,
            fold=config.gait.least_fold,
            limits=config.limits,
        )
        pitch = legs.flexed(shank, reached, foot.yaw, foot.pitch, foot.floor, foot.contact, config.limits)
        out.append(fitting.leg(hip, thigh, shank, reached, foot.pitched(pitch, reached, config.swing)))
    return out[0], out[1]


def _set(turned: Array, names: tuple[str, ...], values: tuple[Array, ...]) -> None:
    for name, value in zip(names, values, strict=True):
        turned[:, INDEX[name]] = value


def _places(
    manner: gait.Manner,
    look: headings.Headings,
    action: actions.Action,
    stance: list[float | Array],
    config: MotionConfig,
) -> Array:
    """Where each foot belongs beside the body, `(N, 2, 3)`: metres to the left, metres ahead, radians of turn."""
    going, kneel = look.going, (action.kneel > 0.02).astype(float)
    upright: Sequence[float | Array] = config.acting.hold.stance if action.kneel.any() else stance
    toes_out = float(np.radians(config.body.toes_out_deg))
    each, most, aside = config.gait.brace_m
    brace = limit(-each * look.push, most) * np.array([1.0, aside])
    out = np.empty((going.size, 2, 3))
    for foot, side in ((0, 1.0), (1, -1.0)):
        front, left, turn = config.body.kneel_stance[foot]
        still = (side * 0.5 * upright[2], upright[foot] + 0.06, side * toes_out * (1.0 if foot == 0 else 3.0))
        moving = (side * 0.5 * manner.step_width + brace[:, 1], manner.ahead + brace[:, 0], side * toes_out * 0.7)
        for axis, kneeling in enumerate((left, front, turn)):
            standing = still[axis] * (1.0 - kneel) + kneeling * kneel
            out[:, foot, axis] = going * moving[axis] + (1.0 - going) * standing
    return out
