"""The places where stories happen, one module each.

Belongs here: the list of them. To add one, write a module with a function from a stage to the story in several
wordings, and name it here. Does not belong here: anything that two themes share (story); a match that is retold is no
theme that can be drawn (match).
"""

from pipeline.scenes.themes.baseball import baseball
from pipeline.scenes.themes.chase import chase
from pipeline.scenes.themes.office import cafe, office
from pipeline.scenes.themes.park import park
from pipeline.scenes.themes.space import space
from pipeline.scenes.themes.sports import sports
from pipeline.scenes.themes.street import street

THEMES = {
    "baseball": baseball,
    "cafe": cafe,
    "chase": chase,
    "office": office,
    "park": park,
    "space": space,
    "sports": sports,
    "street": street,
}
