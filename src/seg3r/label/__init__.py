"""SceneMap, words -> Labels: who names."""
