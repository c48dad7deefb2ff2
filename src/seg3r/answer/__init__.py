"""SceneMap, question -> Answer: who answers."""
