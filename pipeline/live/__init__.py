"""As it happens: events of a running match put in order, and evaluated by the code that evaluates recorded matches."""
