"""Accepted takes, cut together: the finished video, its poster and its contact sheet."""

from aiprod.assembly.joining import Clip, assemble
from aiprod.assembly.stills import contact_sheet, poster

__all__ = ["Clip", "assemble", "contact_sheet", "poster"]
