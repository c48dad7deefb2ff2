"""SceneMap -> SceneMap: what one frame cannot know and many together can."""
