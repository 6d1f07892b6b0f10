"""The programs whose stacks test_audit.py has unwound twice, and what each is given to do.

Commands run in a folder of their own. `under PROGRAM ...` there runs a program under the agent; everything else, clients
and what prepares the work, is bare.
"""
import collections
import glob
import os
import shutil
import subprocess

# compiles: it runs code that it has made itself, or (V8's builtins) brought along, for which no file has rules.
# as_user: refuses to be root.
Audited = collections.namedtuple("Audited", "name needs argv rate compiles as_user", defaults=(False, None))

PYTHON = """
import json, re, threading
def work(n):
    keep = []
    for i in range(n):
        keep.append(json.loads(json.dumps({"a": [i] * 20, "b": str(i) * 30})))
        keep.append(re.sub("a+", "b", "aab" * (i % 50)))
threads = [threading.Thread(target=work, args=(1500,)) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sorted(range(20000), key=lambda x: -x)
"""
SQL = """
create table t(a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, hex(randomblob(i % 300)) from n;
create index x on t(b);
select count(*) from (select substr(b, 1, 2) as k, count(*) from t group by k order by 2);
"""
CXX = """
#include <algorithm>
#include <map>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>
static int risky(int i)
{
	std::string text(200 + i % 900, 'x');
	if (i % 3 == 0)
		throw std::runtime_error(text);
	return static_cast<int>(text.size());
}
int main()
{
	std::map<std::string, std::vector<std::shared_ptr<std::string>>> all;
	int caught = 0;
	for (int i = 0; i < 20000; i++) {
		all["a key with some length " + std::to_string(i % 999)].push_back(
			std::make_shared<std::string>(40 + i % 200, 'x'));
		try {
			risky(i);
		} catch (const std::exception &) {
			caught++;
		}
	}
	std::regex words("([a-z]+) ([0-9]+)");
	for (int i = 0; i < 300; i++)
		std::regex_match("abc " + std::to_string(i), words);
	return all.size() == 999 && caught > 0 ? 0 : 1;
}
"""


def build(directory):
    """A C++ program, or None without a compiler."""
    if not shutil.which("g++"):
        return None
    source, program = (os.path.join(directory, name) for name in ("work.cpp", "work"))
    if not os.path.exists(program):
        write(directory, "work.cpp", CXX)
        subprocess.run(["g++", "-O2", "-g", "-o", program, source], check=True)
    return program


def write(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


def few(directory):
    """Those of every `make check`."""
    yield Audited("python3", ["/usr/bin/python3"], ["under", "/usr/bin/python3", "-c", PYTHON], "16K")
    yield Audited("sqlite3", ["sqlite3"], ["under", "sqlite3", ":memory:", SQL], "16K")
    yield Audited("a C++ program", ["g++"], ["under", build(directory)], "16K")


PYTHON_SQLITE = """
import json, random, re, sqlite3, threading
def work(seed):
    dice = random.Random(seed)
    db = sqlite3.connect(":memory:")
    db.create_function("again", 1, lambda x: json.loads(json.dumps({"x": x}))["x"] * 2)
    db.execute("create table t(a integer, b text)")
    for turn in range(12):
        db.executemany("insert into t values(?, ?)", ((i, "x" * dice.randrange(400)) for i in range(1500)))
        db.execute("select again(a), group_concat(b) from t group by a % 97 order by length(b)").fetchall()
        json.loads(json.dumps([{str(k): [k] * 20} for k in range(500)]))
        [re.compile("a%d(b|c)*[d-f]{%d}" % (i, i % 9 + turn)) for i in range(20)]
def deep(n):
    return deep(n - 1) if n else work(n)
threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
[thread.start() for thread in threads]
deep(100)
[thread.join() for thread in threads]
"""
PERL = """
my (%h, @sorted);
for my $turn (1 .. 12) {
    for my $i (1 .. 20000) { $h{$i % 5000} .= join(',', map { $_ * 2 } 1 .. 20); push @{$h{"l" . $i % 97}}, "x" x ($i % 300); }
    @sorted = sort { $a->[0] <=> $b->[0] } map { [ $_ * 7 % 1000, "$_" =~ s/(1|2)+/<$1>/gr ] } 1 .. 20000;
    eval { die { code => $turn } };
    eval "sub f$turn { my %x = map { \\$_ => [1 .. 10] } 1 .. shift; return sprintf('%s' x keys %x, %x) } f$turn(200)" for 1 .. 20;
    %h = () if $turn % 4 == 0;
}
"""
GIT = """
rm -rf repository && git init -q repository && cd repository && git config user.email a@b && git config user.name c
for turn in $(seq 25); do
    for i in $(seq 40); do seq $turn $((turn * 37 % 400 + i * 50)) > file$i; done
    under git add . && under git commit -q -m "turn $turn"
done
under git gc -q && under git log -p --stat > /dev/null && under git blame file7 > /dev/null && under git fsck --full > /dev/null 2>&1
under git grep -c 7 > /dev/null && under git repack -a -d -f -q --depth=50 --window=50 && under git diff --stat HEAD~20 > /dev/null
"""
# All of the standard library, and templates of it made for many types.
BIG_CXX = "#include <bits/stdc++.h>\n" + "".join(f"""
struct T{i} {{
	int value = {i};
	std::string name{{"t{i}"}};
	bool operator<(const T{i} &o) const {{ return std::tie(value, name) < std::tie(o.value, o.name); }}
}};
int use{i}(std::istream &in, std::vector<std::variant<int, std::string, T{i}>> all)
{{
	std::map<T{i}, std::unordered_map<std::string, std::function<int(T{i})>>> table;
	std::regex pattern("([a-z]+){i} ([0-9]+)");
	for (std::string line; std::getline(in, line);)
		if (std::smatch found; std::regex_match(line, found, pattern))
			table[T{i}{{std::stoi(found[2]), found[1]}}][line] = [n = found.size()](T{i} t) {{ return int(n) + t.value; }};
	std::stable_sort(all.begin(), all.end());
	int sum = 0;
	for (auto &[key, inner] : table)
		for (auto &[name, f] : inner)
			sum += f(key);
	for (auto &one : all)
		sum += std::visit([](auto &x) -> int {{
			if constexpr (std::is_same_v<std::decay_t<decltype(x)>, T{i}>)
				return x.value;
			else
				return sizeof(x);
		}}, one);
	return sum;
}}
""" for i in range(12))
GDB = """
set debuginfod enabled off
set confirm off
set pagination off
set startup-with-shell off
unset environment LD_PRELOAD
info functions regex
info types map
catch throw
ignore 1 30
run
bt full
info locals
info sharedlibrary
delete
break main
disassemble /s main
up 10
ptype all
python
for symbol in gdb.lookup_global_symbol('main').symtab.global_block():
    str(symbol.type.strip_typedefs())
for turn in range(200):
    frame = gdb.newest_frame()
    while frame:
        [str(symbol.type) for symbol in (frame.block() if frame.function() else [])]
        frame = frame.older()
end
maint expand-symtabs
info scope main
kill
"""
NODE = """
const zlib = require('zlib'), crypto = require('crypto'), { Worker, isMainThread } = require('worker_threads');
const again = f => new Promise(done => f((error, found) => done(found)));
async function work(turns) {
    let kept = [];
    for (let turn = 0; turn < turns; turn++) {
        for (let i = 0; i < 400; i++) {
            kept.push(JSON.parse(JSON.stringify({ a: Array(20).fill(i), b: String(i).repeat(30) })));
            kept.push(Buffer.alloc(100 + i * 37, 'x'), Buffer.from('y'.repeat(9000 + i)));
            new RegExp('a' + turn + '_' + i + '(b|c)*').exec('xa' + i);
        }
        for (let i = 0; i < 20; i++) {
            const packed = zlib.deflateSync(JSON.stringify(kept.slice(0, 60)));
            zlib.inflateSync(packed);
            crypto.createHash('sha256').update(packed).digest();
        }
        await Promise.all([1, 2, 3, 4].map(i => again(f => zlib.gzip(Buffer.alloc(200000, String(i)), f))));
        await again(f => crypto.pbkdf2('p', 's', 1000, 64, 'sha512', f));
        await again(f => crypto.generateKeyPair('ec', { namedCurve: 'P-256' }, f));
        new Function('x', 'return ' + Array(200).fill('x').join('+'))(turn);
        kept = kept.slice(-100);
    }
}
if (isMainThread) new Worker(__filename);
work(15);
"""
JAVA = """
import java.io.*; import java.nio.*; import java.nio.file.*; import java.util.*; import java.util.stream.*; import java.util.zip.*;
class Main {
	static class Loader extends ClassLoader {
		Class<?> define(byte[] code) { return defineClass("Main$Loaded", code, 0, code.length); }
	}
	public static class Loaded implements Runnable {
		public void run() { IntStream.range(0, 300).boxed().collect(Collectors.groupingBy(x -> x % 7)); }
	}
	static void pack(int turn) throws Exception {
		var file = Files.createTempFile(Path.of("."), "m", ".zip");
		try (var out = new ZipOutputStream(Files.newOutputStream(file))) {
			for (int i = 0; i < 30; i++) {
				out.putNextEntry(new ZipEntry("entry" + i));
				out.write(new byte[5000 + turn]);
			}
		}
		try (var in = new ZipFile(file.toFile())) {
			for (var entry : Collections.list(in.entries()))
				in.getInputStream(entry).readAllBytes();
		}
		Files.delete(file);
		for (int i = 0; i < 30; i++) {
			var deflater = new Deflater(9);
			deflater.setInput(new byte[20000]);
			deflater.finish();
			byte[] packed = new byte[4000];
			int size = deflater.deflate(packed);
			deflater.end();
			var inflater = new Inflater();
			inflater.setInput(packed, 0, size);
			inflater.inflate(new byte[20000]);
			inflater.end();
		}
	}
	static void work() {
		try (var in = Main.class.getResourceAsStream("Main$Loaded.class")) {
			byte[] code = in.readAllBytes();
			for (int turn = 0; turn < 60; turn++) {
				var buffers = new ArrayList<ByteBuffer>();
				for (int i = 0; i < 100; i++)
					buffers.add(ByteBuffer.allocateDirect(1000 + i * 300));
				pack(turn);
				for (int i = 0; i < 20; i++)
					((Runnable) new Loader().define(code).getDeclaredConstructor().newInstance()).run();
			}
		} catch (Exception failure) {
			failure.printStackTrace();
			System.exit(1);
		}
	}
	public static void main(String[] a) throws Exception {
		var threads = new ArrayList<Thread>();
		for (int t = 0; t < 3; t++) threads.add(new Thread(Main::work));
		for (var t : threads) t.start();
		for (var t : threads) t.join();
	}
}
"""
REDIS = """
under redis-server --port 0 --unixsocket s --save '' --dir . > /dev/null &
until redis-cli -s s ping 2> /dev/null | grep -q PONG; do kill -0 $! || exit 1; done
redis-benchmark -s s -q -n 60000 -r 10000 -d 400 -t set,get,lpush,sadd,hset,zadd,lrange_100 > /dev/null
redis-cli -s s eval "local t = {} for i = 1, 1e5 do t[i] = tostring(i) end return #t" 0 > /dev/null
redis-cli -s s shutdown nosave
wait
"""
POSTGRES = """
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
[ -d data ] || initdb -D data -A trust -U postgres > /dev/null || exit 1
under postgres -D data -k "$PWD" -c listen_addresses= > log 2>&1 &
until pg_isready -q -h "$PWD"; do kill -0 $! || exit 1; done
psql="psql -q -h $PWD -U postgres -v ON_ERROR_STOP=1"
pgbench -i -q -h "$PWD" -U postgres postgres > /dev/null 2>&1
pgbench -h "$PWD" -U postgres -c 4 -j 2 -t 1500 -C postgres > /dev/null 2>&1
failed=0
for turn in $(seq 8); do $psql -o /dev/null -f work.sql || failed=1; done
pg_ctl -D data -m fast stop > /dev/null
wait
exit $failed
"""
POSTGRES_SQL = """
drop table if exists t;
create table t as select i, md5(i::text) m, jsonb_build_object('a', i, 'b', array_agg(j)) o
    from generate_series(1, 8000) i, generate_series(1, 10) j group by i;
create index on t(m);
create index on t using gin(o);
select count(*), sum(a.i * b.i) from t a join t b on a.i % 700 = b.i % 700 group by a.i % 5;
select * from t where m ~ '^a(b|c)*[0-9]' order by m;
with recursive r(n, s) as (select 1, 'x' union all select n + 1, s || n from r where n < 500) select max(length(s)) from r;
select string_agg(m, ',') over (partition by i % 20 order by m desc) from t where i < 2000;
select string_agg(m, ',' order by m desc) from t group by i % 20;
do $$ declare r record; begin for r in select * from t loop perform r.o || '{"c": 1}'; end loop; end $$;
set jit_above_cost = 0; set jit_inline_above_cost = 0; set jit_optimize_above_cost = 0;
select sum(i), count(distinct m), avg(length(m || i)) from t where i % 3 = 1 group by i % 11;
select xmlelement(name x, xmlagg(xmlelement(name y, m))) from t where i < 500;
"""
NGINX = """
seq 30000 > page
echo small > small
under nginx -p "$PWD" -c "$PWD/nginx.conf" -g 'daemon off;' 2> /dev/null &
until [ -S front ] && [ -S back ]; do kill -0 $! || exit 1; done
/usr/bin/python3 load.py
status=$?
kill -QUIT $!
wait
rm -f front back
exit $status
"""
NGINX_CONF = """
worker_processes 2; pid nginx.pid; error_log error.log; events { }
http {
    access_log off; gzip on; gzip_min_length 1; gzip_types *; gzip_proxied any;
    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path g;
    upstream other { server unix:back; keepalive 4; }
    server { listen unix:front; root .;
        location /proxied/ { proxy_pass http://other/; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /rewritten { rewrite ^/rewritten/(.*)$ /$1 last; }
        location ~ ^/matched/(?<name>[a-z]+)$ { add_header X-Name $name; return 200 "$name $request_uri $http_user_agent"; }
        location /listed/ { alias ./; autoindex on; ssi on; } }
    server { listen unix:back; root .; }
}
"""
NGINX_LOAD = """
import socket, sys, threading
PATHS = ["small", "page", "proxied/page", "proxied/small", "rewritten/small", "matched/name", "listed/", "missing"]
failed = []
def ask(connection, path, packed):
    connection.sendall(b"GET /%s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n%s\\r\\n"
                       % (path.encode(), b"Accept-Encoding: gzip\\r\\n" if packed else b""))
    told = b""
    while part := connection.recv(1 << 16):
        told += part
    if not told.startswith(b"HTTP/1.1 404" if path == "missing" else b"HTTP/1.1 200"):
        failed.append((path, told[:200]))
def work():
    for i in range(1500):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect("front")
            ask(connection, PATHS[i % len(PATHS)], i // len(PATHS) % 2)
threads = [threading.Thread(target=work) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if failed:
    sys.exit(str(failed[0]))
"""
POSTGRES_PROGRAMS = glob.glob("/usr/lib/postgresql/*/bin/initdb")[-1:] or ["initdb"]


def many(directory):
    """Those of `make check-long`, which have more to do."""
    for name, text in (("big.cpp", BIG_CXX), ("commands.gdb", GDB), ("main.js", NODE), ("Main.java", JAVA), ("work.sql", POSTGRES_SQL),
                       ("nginx.conf", NGINX_CONF), ("load.py", NGINX_LOAD)):
        write(directory, name, text)
    yield Audited("python3 with threads and sqlite", ["/usr/bin/python3"], ["under", "/usr/bin/python3", "-c", PYTHON_SQLITE], "16K")
    yield Audited("sqlite3", ["sqlite3"], ["under", "sqlite3", ":memory:", SQL.replace("20000", "200000")], "16K")
    yield Audited("a C++ program", ["g++"], ["sh", "-c", f"for i in $(seq 20); do under {build(directory)}; done"], "16K")
    yield Audited("perl", ["perl"], ["under", "perl", "-e", PERL], "16K")
    yield Audited("git", ["git"], ["sh", "-c", GIT], "32K")
    yield Audited("clang", ["clang++"], ["under", "clang++", "-std=c++17", "-O2", "-S", "-o", "/dev/null", "big.cpp"], "256K")
    yield Audited("cc1plus", ["g++"], ["under", "g++", "-std=c++17", "-O2", "-S", "-o", "/dev/null", "big.cpp"], "256K")
    yield Audited("gdb", ["gdb", "g++"], ["under", "gdb", "-nx", "-q", "-batch", "-x", "commands.gdb", build(directory)], "16K")
    yield Audited("node", ["node"], ["under", "node", "main.js"], "16K", True)
    for name, option in ("java", "-Xshare:auto"), ("java with frame pointers", "-XX:+PreserveFramePointer"):
        yield Audited(name, ["java", "javac"], ["sh", "-c", f"[ -e Main.class ] || javac Main.java; under java -Xmx256m {option} Main"], "16K", True)
    yield Audited("redis", ["redis-server", "redis-cli"], ["sh", "-c", REDIS], "32K")
    yield Audited("PostgreSQL", POSTGRES_PROGRAMS, ["sh", "-c", POSTGRES], "16K", True, "nobody")
    yield Audited("nginx", ["nginx"], ["sh", "-c", NGINX], "16K")
