# What the agent knows of CPython.
libagent_la_SOURCES += \
	agent/python/codes.c agent/python/codes.h \
	agent/python/frames.c agent/python/frames.h \
	agent/python/layout.c agent/python/layout.h \
	agent/python/mixed_stack.c agent/python/mixed_stack.h \
	agent/python/runtime.c agent/python/runtime.h \
	agent/python/unicode.c agent/python/unicode.h
