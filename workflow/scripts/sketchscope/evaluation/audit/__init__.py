"""Does a label image fit its picture, both ways: does every label show as one cell, and has every cell one label?"""

from .alarms import ALARMS, name_faults
from .cells import AUDIT_COLUMNS, audit_cells
from .pairs import IMAGE_COLUMNS, Audit, audit_pair
from .summary import read_lost, summarise_audit

__all__ = [
    "ALARMS",
    "AUDIT_COLUMNS",
    "Audit",
    "IMAGE_COLUMNS",
    "audit_cells",
    "audit_pair",
    "name_faults",
    "read_lost",
    "summarise_audit",
]
