"""How it moves: skeleton, gait, synthesis on the player's true path, mesh, glTF, previews."""
