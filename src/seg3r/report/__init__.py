"""One self-contained page about a map: pictures, instances, timings. Nothing is loaded from anywhere."""

from seg3r.report.page import write_report

__all__ = ["write_report"]
