# The unwinder is a part of the agent.
noinst_HEADERS += agent/unwind/walk.h
