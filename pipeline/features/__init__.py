"""How it looked: declared micro-features of one player at one instant, and the one kernel that computes them."""
