"""View, Segments, SceneMap -> Matches: which segment continues which instance?

`cues` say how well a segment fits an instance, `match` pairs them, `fused` weighs cues as both online papers do.
"""
