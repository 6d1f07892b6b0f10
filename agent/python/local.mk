# What the agent knows of CPython.
libagent_la_SOURCES += \
	agent/python/codes.c agent/python/codes.h \
	agent/python/frames.c agent/python/frames.h \
	agent/python/layout.c agent/python/layout.h \
	agent/python/mixed_stack.c agent/python/mixed_stack.h \
	agent/python/runtime.h \
	agent/python/unicode.c agent/python/unicode.h

# Calls the loader behind the hooks, which tests have not got.
libspprof_agent_la_SOURCES += agent/python/runtime.c agent/python/thread_states.c agent/python/thread_states.h
