"""Stories in 2D, told with true speeds and true sizes.

Belongs here: what a scene is, how its actors move, how it is drawn, and how it becomes samples to learn from.
Does not belong here: 3D motion (`pipeline.motion`), learning (`pipeline.trajectories`), files (`resources`).

Space is metres, right-handed, y up; the ground is (x, z), x to the right and z towards the viewer. A heading is an
angle in radians about y: 0 looks along +x, and its direction is (cos, −sin) in (x, z).
"""
