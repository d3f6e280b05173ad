"""The ways that most would go, kept honest: the alternatives that figures are compared with."""
