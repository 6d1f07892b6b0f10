# Programs that speak the API: they see proto/ and themselves, neither agent nor daemon.
clients_cppflags = -I$(builddir) -I$(srcdir)/clients $(proto_cppflags)

noinst_LTLIBRARIES += libspclient.la
libspclient_la_CPPFLAGS = $(clients_cppflags)
libspclient_la_LIBADD = libspproto.la
libspclient_la_SOURCES = \
	clients/common/api_client.c clients/common/api_client.h \
	clients/common/scope.c clients/common/scope.h \
	clients/common/socket_dir.c clients/common/socket_dir.h

# Everything of spprofctl but main(), so that tests link it.
noinst_LTLIBRARIES += libspctl.la
libspctl_la_CPPFLAGS = $(clients_cppflags) $(SMARTCOLS_CFLAGS) \
	-DPKGLIBDIR='"$(pkglibdir)"' -DDAEMON_DIR='"$(bindir)"'
libspctl_la_LIBADD = libspclient.la $(SMARTCOLS_LIBS) -lm
libspctl_la_SOURCES = \
	clients/ctl/child.c clients/ctl/child.h \
	clients/ctl/cli.c clients/ctl/cli.h \
	clients/ctl/cmd_env.c clients/ctl/cmd_list.c clients/ctl/cmd_mark.c clients/ctl/cmd_run.c \
	clients/ctl/cmd_snapshot.c clients/ctl/cmd_stats.c clients/ctl/cmd_version.c \
	clients/ctl/ctl.h \
	clients/ctl/describe.c clients/ctl/describe.h \
	clients/ctl/fetch.c clients/ctl/fetch.h \
	clients/ctl/format.c clients/ctl/format.h \
	clients/ctl/install.c clients/ctl/install.h \
	clients/ctl/json.c clients/ctl/json.h \
	clients/ctl/link.c clients/ctl/link.h \
	clients/ctl/message.c clients/ctl/message.h \
	clients/ctl/output.c clients/ctl/output.h \
	clients/ctl/preload.c clients/ctl/preload.h \
	clients/ctl/private_daemon.c clients/ctl/private_daemon.h \
	clients/ctl/quantity.c clients/ctl/quantity.h \
	clients/ctl/signals.c clients/ctl/signals.h \
	clients/ctl/table.c clients/ctl/table.h

bin_PROGRAMS += spprofctl
spprofctl_CPPFLAGS = $(clients_cppflags)
spprofctl_SOURCES = clients/ctl/main.c
spprofctl_LDADD = libspctl.la

# A program, its man page, its completion and its --help change together.
dist_man_MANS += docs/man/spprofctl.1 docs/man/spprof.7
dist_bashcompletion_DATA += completion/spprofctl
