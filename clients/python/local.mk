# The package spprof. Plain files: Python compiles them itself, and no one Python is the only one that will use them.
python_sources = \
	clients/python/spprof/__init__.py \
	clients/python/spprof/__main__.py \
	clients/python/spprof/_agent.py \
	clients/python/spprof/_client.py \
	clients/python/spprof/_daemon.py \
	clients/python/spprof/_export.py \
	clients/python/spprof/_install.py \
	clients/python/spprof/_launch.py \
	clients/python/spprof/_model.py \
	clients/python/spprof/_protobuf.py \
	clients/python/spprof/_reading.py \
	clients/python/spprof/_schema.py \
	clients/python/spprof/memprof.py \
	clients/python/spprof/py.typed
python_build = clients/python/README.md clients/python/build_backend.py clients/python/pyproject.toml
python_examples = \
	clients/python/examples/README.md \
	clients/python/examples/basic.py \
	clients/python/examples/scoped.py \
	clients/python/examples/with_perf.sh \
	clients/python/examples/production_gunicorn/README.md \
	clients/python/examples/production_gunicorn/app.py \
	clients/python/examples/production_gunicorn/gunicorn.conf.py
EXTRA_DIST += $(python_sources) $(python_build) $(python_examples)

# Where agent and daemon will be; for the installed package alone.
if HAVE_PYTHON
pkgpython_DATA = $(python_sources) clients/python/spprof/_prefix.py
endif
CLEANFILES += clients/python/spprof/_prefix.py
clients/python/spprof/_prefix.py: Makefile
	$(AM_V_GEN)$(MKDIR_P) $(@D) && { \
	echo '"""Where make install has put agent and daemon."""'; \
	echo 'PKGLIBDIR = "$(pkglibdir)"'; \
	echo 'BINDIR = "$(bindir)"'; } >$@
