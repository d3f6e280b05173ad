"""The places where stories happen, one module each.

Belongs here: the list of them. To add one, write a module with a function from a stage to the story in several
wordings, and name it here. Does not belong here: anything that two themes share (story).
"""

from pipeline.scenes.themes.baseball import baseball

THEMES = {"baseball": baseball}
