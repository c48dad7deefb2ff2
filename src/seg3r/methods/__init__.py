"""One file per paper: its config, its presets, and which part sits in which socket."""
