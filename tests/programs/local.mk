# tests/programs
