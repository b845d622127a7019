"""Accepted takes, cut together: the finished video, its poster and its contact sheet."""

from aiprod.assembly.captions import captions
from aiprod.assembly.joining import Clip, Style, assemble
from aiprod.assembly.stills import contact_sheet, poster
from aiprod.assembly.thumbnails import thumbnail

__all__ = ["Clip", "Style", "assemble", "captions", "contact_sheet", "poster", "thumbnail"]
