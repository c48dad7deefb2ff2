"""SceneMap -> what can be shown or told of it: best views, crops, facts, records, colours."""
