# The agent may see only itself and the wire headers; it links libc alone.
agent_cppflags = -I$(builddir) -I$(srcdir)/include -I$(srcdir)/agent
agent_cflags = $(AM_CFLAGS) -fno-exceptions -ftls-model=initial-exec -fno-math-errno -ffreestanding -fno-builtin

# Everything but the interposed entry points, so that tests link the modules without hooking their own malloc.
noinst_LTLIBRARIES += libagent.la
libagent_la_CPPFLAGS = $(agent_cppflags)
libagent_la_SOURCES =
