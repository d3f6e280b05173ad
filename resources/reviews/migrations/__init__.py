"""How the review database came to be: one Alembic step a file, in `versions`.

Belongs here: steps; one that was released is never edited. Does not belong here: the schema as it is (`schema`), who
runs the steps (`database`). A new one is named `r<number>_<what>.py`.
"""
