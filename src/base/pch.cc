// Compiled once, for pch.h alone.
