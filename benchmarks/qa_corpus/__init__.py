"""Clips with known defects, made here: scenes drawn by a program (or real clips from a folder), and ways to spoil them."""
