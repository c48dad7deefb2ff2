"""A finished map as files for others to read."""

from __future__ import annotations

from seg3r.export.crops import write_crops
from seg3r.export.folder import CONTENT, MARK, check_out, write_map_folder
from seg3r.export.instances import write_instances
from seg3r.export.ply import write_ply

__all__ = ["CONTENT", "MARK", "check_out", "write_crops", "write_instances", "write_map_folder", "write_ply"]
