// Compiled once, only for pch.h.
