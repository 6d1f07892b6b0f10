/* What the ready-made snapshots hold. Numbers are of the kind a busy machine shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buffer.h"
#include "fixture.h"

struct row {
	const char *stack;
	uint64_t size;
	uint32_t samples, live;
};

#define LOOP                                                                                       \
	"|aeProcessEvents@ae.c:428|aeMain@ae.c:488|main@server.c:7360|lib!__libc_start_call_main"  \
	"|lib!__libc_start_main|_start"
#define READ "|readQueryFromClient@networking.c:2660|callHandler@connhelpers.h:79" LOOP
#define CALL                                                                                       \
	"|call@server.c:3374|processCommand@server.c:4008|processInputBuffer@networking.c:"        \
	"2466" READ
#define CRON "|databasesCron@server.c:1012|serverCron@server.c:1395|processTimeEvents@ae.c:331" LOOP

static const struct row redis[] = {
	{"zmalloc@zmalloc.c:122|sdsnewlen@sds.c:113|sdsnewlen@sds.c:158|createRawStringObject@"
	 "object.c:79|"
	 "createStringObject@object.c:117|setKey@db.c:312|setGenericCommand@t_string.c:88" CALL,
		4096, 98000, 912},
	{"zmalloc@zmalloc.c:122|createEmbeddedStringObject@object.c:91|createStringObject@object.c:"
	 "115|"
	 "setKey@db.c:312|setGenericCommand@t_string.c:88" CALL,
		48, 41000, 604},
	{"zmalloc@zmalloc.c:122|dictAddRaw@dict.c:331|dictAdd@dict.c:289|dbAdd@db.c:197|setKey@db."
	 "c:314" CALL,
		64, 22000, 371},
	{"zcalloc@zmalloc.c:189|_dictExpand@dict.c:172|dictExpand@dict.c:205|_dictExpandIfNeeded@"
	 "dict.c:1002|"
	 "dictAddRaw@dict.c:318|dictAdd@dict.c:289|dbAdd@db.c:197" CALL,
		33554432, 9, 2},
	{"zmalloc@zmalloc.c:122|sdsnewlen@sds.c:113|sdsdup@sds.c:190|dbAdd@db.c:194|setKey@db.c:"
	 "314" CALL,
		32, 15000, 208},
	{"zrealloc@zmalloc.c:258|sdsMakeRoomFor@sds.c:251|readQueryFromClient@networking.c:2631"
	 "|callHandler@connhelpers.h:79" LOOP,
		16384, 31000, 96},
	{"zmalloc@zmalloc.c:122|createClient@networking.c:128|acceptCommonHandler@networking.c:"
	 "1187|"
	 "acceptTcpHandler@networking.c:1301" LOOP,
		17408, 900, 61},
	{"zmalloc@zmalloc.c:122|_addReplyProtoToList@networking.c:343|addReplyBulk@networking.c:"
	 "970|"
	 "getGenericCommand@t_string.c:402" CALL,
		16384, 12000, 44},
	{"zmalloc@zmalloc.c:122|lpNew@listpack.c:226|createListpackObject@object.c:252|"
	 "hashTypeLookupWriteOrCreate"
	 "@t_hash.c:477|hsetCommand@t_hash.c:604" CALL,
		128, 3000, 40},
	{"zrealloc@zmalloc.c:258|lpInsert@listpack.c:888|lpAppend@listpack.c:959|hashTypeSet@t_"
	 "hash.c:233|"
	 "hsetCommand@t_hash.c:607" CALL,
		512, 5100, 33},
	{"zmalloc@zmalloc.c:122|zslCreateNode@t_zset.c:77|zslInsert@t_zset.c:171|zsetAdd@t_zset.c:"
	 "1442|"
	 "zaddGenericCommand@t_zset.c:1801" CALL,
		96, 1800, 29},
	{"zmalloc@zmalloc.c:122|quicklistCreateNode@quicklist.c:166|quicklistPushTail@quicklist.c:"
	 "702|"
	 "listTypePush@t_list.c:136|pushGenericCommand@t_list.c:480" CALL,
		40, 700, 21},
	{"ztrymalloc_usable_internal@zmalloc.c:103^zmalloc@zmalloc.c:122|listAddNodeTail@adlist.c:"
	 "151|"
	 "addReplyProto@networking.c:412" CALL,
		24, 640, 13},
	{"zmalloc@zmalloc.c:122|raxNewNode@rax.c:180|raxGenericInsert@rax.c:512|streamAppendItem@t_"
	 "stream.c:519|"
	 "xaddCommand@t_stream.c:2051" CALL,
		64, 410, 11},
	{"zcalloc@zmalloc.c:189|aeCreateEventLoop@ae.c:72|initServer@server.c:2518|main@server.c:"
	 "7262|"
	 "lib!__libc_start_call_main|lib!__libc_start_main|_start",
		786432, 1, 1},
	{"zmalloc@zmalloc.c:122|luaAlloc@script.c:88|luaM_realloc_@lmem.c:79|luaH_resize@ltable.c:"
	 "333|"
	 "luaV_settable@lvm.c:145|luaV_execute@lvm.c:456" CALL,
		256, 9000, 8},
	{"lib!_IO_file_doallocate|lib!_IO_doallocbuf|lib!_IO_file_overflow|serverLogRaw@server.c:"
	 "129|"
	 "serverLog@server.c:150" CRON,
		4096, 220, 3},
	{"zmalloc@zmalloc.c:122|clusterCreateNode@cluster.c:1012|clusterInit@cluster.c:720|"
	 "initServer@server.c:2690|"
	 "main@server.c:7262|lib!__libc_start_call_main|lib!__libc_start_main|_start",
		2304, 2, 2},
	{"[libjemalloc.so.2+0x6a11]|[libjemalloc.so.2+0x1c044]|bioProcessBackgroundJobs@bio.c:206|"
	 "lib!start_thread|lib!__clone3",
		65536, 31, 1},
	{"zmalloc@zmalloc.c:122|sdsnewlen@sds.c:113|sdscatfmt@sds.c:711|genRedisInfoString@server."
	 "c:5120|"
	 "infoCommand@server.c:6003" CALL,
		1024, 5600, 1},
	{"zmalloc@zmalloc.c:122|activeExpireCycle@expire.c:250" CRON, 640, 1200, 1},
	{"zrealloc@zmalloc.c:258|sdsMakeRoomFor@sds.c:251|sdscatlen@sds.c:516|feedAppendOnlyFile@"
	 "aof.c:1288|"
	 "propagateNow@server.c:3160" CALL,
		8192, 8800, 0},
	{"zmalloc@zmalloc.c:122|rdbSaveRio@rdb.c:1401|rdbSave@rdb.c:1520" CRON, 262144, 96, 0},
	{"zcalloc@zmalloc.c:189|slowlogCreateEntry@slowlog.c:52|slowlogPushEntryIfNeeded@slowlog.c:"
	 "133" CALL,
		72, 5, 0},
};

static void add_rows(struct fixture *f, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fixture_allocate(f, fixture_site(f, rows[i].stack), rows[i].size, rows[i].samples,
			rows[i].live);
}

#define ADD_ROWS(f, rows) add_rows(f, rows, sizeof(rows) / sizeof(rows[0]))

struct snapshot *fixture_empty(void)
{
	return fixture_finish(fixture_new());
}

struct snapshot *fixture_redis(void)
{
	struct fixture *f = fixture_new();
	ADD_ROWS(f, redis);
	return fixture_finish(f);
}

#define STRING "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
#define PAIR   "std::pair<" STRING " const, Session>"
#define OUTER                                                                                      \
	"|shop::Server::serve(int)@src/server.cc:210|main@src/"                                    \
	"main.cc:31|lib!__libc_start_main|_start"
#define FACTORY "shop::detail::Registry<shop::Order, shop::OrderTraits<" STRING " > >::"

static const struct row cpp[] = {
	{"lib!operator new(unsigned long)|__gnu_cxx::new_allocator<std::_Rb_tree_node<" PAIR
	 " > >::allocate("
	 "unsigned long, void "
	 "const*)@/usr/include/c++/12/ext/new_allocator.h:137^std::allocator_traits<std::allocator"
	 "<std::_Rb_tree_node<" PAIR " > > >::allocate(std::allocator<std::_Rb_tree_node<" PAIR
	 " > >&, unsigned long)"
	 "@/usr/include/c++/12/bits/alloc_traits.h:464|std::_Rb_tree_node<" PAIR
	 " >* std::_Rb_tree<" STRING ", " PAIR ">::_M_create_node<" PAIR " >(" PAIR
	 "&&)@/usr/include/c++/12/bits/stl_tree.h:611|std::map<" STRING ", Session>::"
	 "operator[](" STRING
	 " const&)@/usr/include/c++/12/bits/stl_map.h:511|shop::SessionTable::open(" STRING
	 " const&)@src/session_table.cc:88" OUTER,
		160, 9000, 420},
	{"lib!operator new(unsigned long)|std::vector<float, std::allocator<float> "
	 ">::_M_realloc_insert<float const&>("
	 "__gnu_cxx::__normal_iterator<float*, std::vector<float> >, float "
	 "const&)@/usr/include/c++/12/bits/vector.tcc:440|"
	 "std::vector<float, std::allocator<float> >::push_back(float "
	 "const&)@/usr/include/c++/12/bits/stl_vector.h:1287|"
	 "void shop::train<float>(shop::Model&, std::vector<float> const&) [clone "
	 ".constprop.0]@src/train.cc:57" OUTER,
		4194304, 40, 12},
	{"lib!operator new(unsigned long)|" FACTORY "create(shop::OrderTraits<" STRING
	 " > const&) const@src/registry.h:144|" FACTORY
	 "createAll(int) const::{lambda(int)#1}::operator()(int) "
	 "const@src/registry.h:171|shop::Server::reload()"
	 "@src/server.cc:301" OUTER,
		2048, 1500, 130},
	{"lib!operator new(unsigned long)|lib!std::__cxx11::basic_string<char, "
	 "std::char_traits<char>, std::allocator<char> >"
	 "::_M_create(unsigned long&, unsigned long)|lib!" STRING
	 "::append(char const*)|(anonymous namespace)::render("
	 "shop::Page const&)@src/page.cc:19" OUTER,
		512, 800, 17},
	{"lib!operator new(unsigned long)", 64, 30, 4},
};

struct snapshot *fixture_cpp(void)
{
	struct fixture *f = fixture_new();
	struct snapshot *s = fixture_snapshot(f);
	s->comm = fixture_string(f, "shopd");
	ADD_ROWS(f, cpp);
	return fixture_finish(f);
}

#define MODULE "py!<module>@/srv/shop/"
#define START  "|lib!__libc_start_call_main|lib!__libc_start_main"

static const struct row python[] = {
	{"py!Loader.load@/srv/shop/loader.py:10|py!Loader.refresh@/srv/shop/loader.py:31|py!serve@/"
	 "srv/"
	 "shop/app.py:44|" MODULE "app.py:60" START,
		1024, 9000, 700},
	/* the same function, on another line */
	{"py!Loader.load@/srv/shop/loader.py:12|py!Loader.refresh@/srv/shop/loader.py:31|py!serve@/"
	 "srv/"
	 "shop/app.py:44|" MODULE "app.py:60" START,
		64, 5000, 300},
	/* native code below Python, and between two frames of it */
	{"lib!default_malloc@alloc.c:120|lib!PyDataMem_UserNEW@alloc.c:412|lib!npy_new@ctors.c:877|"
	 "lib!"
	 "array_new_from_shape@ctors.c:900|lib!array_zeros@multiarraymodule.c:3100|py!stats@/srv/"
	 "shop/"
	 "stats.py:5|py!serve@/srv/shop/app.py:46|" MODULE "app.py:60" START,
		65536, 400, 90},
	{"lib!inflateInit2_@inflate.c:210|lib!zlib_decompress@zlibmodule.c:400|py!unpack.<locals>.<"
	 "lambda>"
	 "@/srv/shop/pack.py:8|lib!sort_callback@sort.cc:31|py!unpack@/srv/shop/"
	 "pack.py:9|py!serve@/srv/"
	 "shop/app.py:47|" MODULE "app.py:60" START,
		7160, 200, 40},
	/* names that say little without their place */
	{"py![import]|" MODULE "vendor/__init__.py:3|py![import]|" MODULE "app.py:1" START, 4096,
		600, 500},
	{"py!__init__@/srv/shop/vendor/__init__.py:20|" MODULE "app.py:2" START, 512, 100, 60},
	{"py![python code not kept]|py!alloc_everything@<string>:1|" MODULE "app.py:58" START, 512,
		100, 30},
	{"py!gr\xc3\xbc\xc3\x9f"
	 "e@/srv/shop/\xc3\xa9.py|" MODULE "app.py:59" START,
		512, 100, 20},
	/* code without names */
	{"lib![libc.so.6+0x10]|lib![libc.so.6+0x20]|[redis-server+0x30]|lib![libc.so.6+0x40]|py!"
	 "stats@/srv/"
	 "shop/stats.py:6|" MODULE "app.py:60" START,
		512, 100, 15},
	{"lib![libc.so.6+0x11]|[redis-server+0x33]|lib![libc.so.6+0x44]|py!stats@/srv/shop/"
	 "stats.py:6|" MODULE "app.py:60" START,
		512, 100, 15},
	{"zmalloc@zmalloc.c:122|background@bg.c:9|lib!start_thread", 2048, 100, 10},
};

struct snapshot *fixture_python(void)
{
	struct fixture *f = fixture_new();
	struct snapshot *s = fixture_snapshot(f);
	s->comm = fixture_string(f, "shop");
	ADD_ROWS(f, python);
	return fixture_finish(f);
}

struct snapshot *fixture_trouble(void)
{
	struct fixture *f = fixture_new();
	struct snapshot *s = fixture_snapshot(f);
	s->interval_bytes = 2 * FIXTURE_INTERVAL; /* a brake was on for a while */
	fixture_allocate(f, fixture_site(f, ""), 8192, 9, 7);
	s->interval_bytes = FIXTURE_INTERVAL;
	fixture_allocate(f,
		fixture_site(f, "[redis-server+0x4a120]|[redis-server+0x4a9f3]|main@server.c:7360"),
		4096, 20, 15);
	fixture_allocate(
		f, fixture_site(f, "zmalloc@zmalloc.c:122|[stack not kept]"), 1048576, 3, 1);
	s->quality = (struct snapshot_quality){
		.from_start = false,
		.unconfirmed = true,
		.exited = true,
		.lost_samples = 12,
		.lost_bytes = 6396313,
		.lost_deaths = 3,
		.stacks_whole = 20,
		.stacks_truncated = 4,
		.stacks_stopped = 8,
		.stacks_guessed = 2,
		.locations_total = 412,
		.locations_unresolved = 37,
		.folded_samples = 9,
		.folded_bytes = 4718592,
		.unconfirmed_reason = fixture_string(
			f, "3 frees were lost and the process ended before it could be asked"),
	};
	return fixture_finish(f);
}

struct snapshot *fixture_hostile(void)
{
	struct fixture *f = fixture_new();
	struct snapshot *s = fixture_snapshot(f);
	char longest[4097];
	memset(longest, 'A', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	s->comm = fixture_string(f, "\033]0;pwned\007\nredis");
	s->command_line = fixture_string(f, "sh -c \"\xff\xfe\" \\ \x7f");
	s->quality.unconfirmed = true;
	s->quality.told_again = true;
	s->quality.allocated_since_unix_ns = s->since_unix_ns + UINT64_C(60000000000);
	s->quality.unconfirmed_reason = fixture_string(f, "\033[2J\xc2\x9b"
							  "31m");
	static const char *const stacks[] = {
		"quote\"back\\slash@dir\"/f\\ile.c:1|main@m.c:1",
		"new\nline\r\ttab@a\nb.c:2|main@m.c:1",
		"semi;colon;|main@m.c:1",
		"semi:colon:|main@m.c:1",
		"\033[31mred\033[0m\x01\x7f@\033[H.c:3|main@m.c:1",
		"\xc2\x9b"
		"31mc1\xe2\x80\xae"
		"bidi|main@m.c:1",
		"bad\xff\xc0\xafutf\xed\xa0\x80"
		"8\xf4\x90\x80\x80\xe2\x82|main@m.c:1",
		"gr\xc3\xb6\xc3\x9f"
		"e\xf0\x9f\x90\x98@\xc3\xa9.c:4|main@m.c:1",
		"trailing 123 |main@m.c:1",
		"|main@m.c:1",
		"operator<<(((|>>>]]]|operator()|operator|std::|::|<|main@m.c:1",
	};
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++)
		fixture_allocate(f, fixture_site(f, stacks[i]), 1000 + i, 60, 40 - (uint32_t)i);
	fixture_allocate(f, fixture_site(f, longest), 100, 60, 10);
	return fixture_finish(f);
}

struct snapshot *fixture_deep(void)
{
	struct fixture *f = fixture_new();
	struct buffer stack = BUFFER_INIT;
	for (int i = 0; i < 512; i++)
		buffer_printf(&stack, "%sdescend_%d@deep.c:%d", i ? "|" : "", i, i + 1);
	buffer_putc(&stack, '\0');
	fixture_allocate(f, fixture_site(f, (const char *)stack.data), 4096, 300, 200);
	buffer_deinit(&stack);
	return fixture_finish(f);
}

/* Stacks of 10 to 40 frames out of 20,000 functions, so that prefixes are shared as in a real
 * program. */
struct snapshot *fixture_large(uint32_t sites)
{
	struct fixture *f = fixture_new();
	struct buffer stack = BUFFER_INIT;
	for (uint32_t i = 0; i < sites; i++) {
		uint32_t depth = 10 + i % 31;
		buffer_clear(&stack);
		for (uint32_t k = 0; k < depth; k++) {
			uint32_t function =
				(i >> (depth - k < 8 ? 8 - (depth - k) : 0)) * 2654435761u % 20000;
			buffer_printf(&stack,
				"%snamespace_%u::Class_%u::method_%u(int)@src/file_%u.cc:%u",
				k ? "|" : "", function % 17, function % 391, function,
				function % 391, function % 1000 + 1);
		}
		buffer_putc(&stack, '\0');
		fixture_allocate(f, fixture_site(f, (const char *)stack.data), 64 + i % 9000,
			1 + i % 5, i % 4);
	}
	buffer_deinit(&stack);
	return fixture_finish(f);
}
