"""Where real_suites.py has its suites from: Debian's packages and sources, without touching the system's apt.

Each prepare_ function makes its suite ready in a folder of its own below `place`, once, and returns that folder. It
raises Unavailable with a sentence where that cannot be done here.
"""
import glob
import os
import shutil
import subprocess

PYTHON = "/usr/bin/python3.11"
PYTHON_HOME = "/usr/lib/python3.11"
GREENLET_TESTS = "/usr/lib/python3/dist-packages/greenlet/tests"
GIT = "/usr/bin/git"
PG_BIN = "/usr/lib/postgresql/15/bin"
PG_REGRESS = "/usr/lib/postgresql/15/lib/pgxs/src/test/regress/pg_regress"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirrors():
    """(suite, address) of wherever this machine has its packages from."""
    told = subprocess.run(["apt-get", "indextargets", "--format", "$(CODENAME) $(SITE) $(COMPONENT)", "Created-By: Packages"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    return sorted({tuple(line.split()[:2]) for line in told.splitlines() if line.endswith(" main")})


class Unavailable(Exception):
    pass


def call(argv, directory, why):
    try:
        done = subprocess.run(argv, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{why}: {error}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [f"{argv[0]} ends with {done.returncode}"]
        raise Unavailable(f"{why}: {said[0]}")
    return done.stdout


def installed_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise Unavailable(f"{package} is not installed")
    return done.stdout


def need_files(*paths):
    for path in paths:
        if not os.access(path, os.R_OK):
            raise Unavailable(f"{path} is missing")


def once(prepare):
    """Makes `place`/NAME by a call of prepare(folder): whole or not at all."""
    def wrapper(place):
        home = os.path.join(place, prepare.__name__.rpartition("_")[2])
        if not os.path.exists(home):
            shutil.rmtree(home + ".new", ignore_errors=True)
            os.makedirs(home + ".new")
            prepare(home + ".new")
            os.rename(home + ".new", home)
        return home
    return wrapper


def unpacked_package(name, directory):
    """The files of a binary package that is fetched, not installed."""
    call(["apt-get", "download", "-qq", name], directory, f"{name} cannot be fetched")
    package = glob.glob(os.path.join(directory, name + "_*.deb"))[0]
    root = os.path.join(directory, name)
    call(["dpkg", "-x", package, root], directory, f"{name} cannot be unpacked")
    return root


def source_of(source, version, directory):
    """The upstream source of a Debian package, of this version or else of the newest: the folder that it unpacks to."""
    sources = os.path.join(directory, "sources.list")
    with open(sources, "w", encoding="utf-8") as file:
        file.writelines(f"deb-src [signed-by={KEYRING}] {mirror} {suite} main\n" for suite, mirror in mirrors())
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(directory, folder), exist_ok=True)
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o",
           f"Dir::State::lists={directory}/lists", "-o", f"Dir::Cache={directory}/cache"]
    call([*apt, "update"], directory, "no lists of Debian's sources")
    fetch = [*apt, "source", "--download-only", "--tar-only"]
    try:
        call([*fetch, f"{source}={version}"], directory, "")
    except Unavailable:
        call([*fetch, source], directory, f"the source of {source} cannot be fetched")
    archive = glob.glob(os.path.join(directory, source + "_*.orig.tar.*"))[0]
    call(["tar", "-xf", archive], directory, f"{archive} cannot be unpacked")
    return next(path for path in glob.glob(os.path.join(directory, source.partition("-")[0] + "-[0-9]*")) if os.path.isdir(path))


def python_is_installed():
    return os.path.exists(os.path.join(PYTHON_HOME, "test", "test_threading.py"))


@once
def prepare_python(home):
    """What of Debian's standard library has tests inside, and the tests of its suite: the folder is a PYTHONPATH."""
    need_files(PYTHON, os.path.join(PYTHON_HOME, "test", "support"))
    roots = [PYTHON_HOME]
    if not python_is_installed():
        roots.append(os.path.join(unpacked_package("libpython3.11-testsuite", home), PYTHON_HOME[1:]))
    for root in roots:
        for package in "test", "ctypes":
            shutil.copytree(os.path.join(root, package), os.path.join(home, package), dirs_exist_ok=True)


def other_pythons(_home):
    """(program, version, the folder that its tests lie in) of those in SPPROF_TEST_PYTHONS."""
    found = []
    for program in filter(None, os.environ.get("SPPROF_TEST_PYTHONS", "").split(":")):
        said = subprocess.run([program, "-c", "import os, platform, sysconfig, test.test_threading as t; print(platform.python_version() + "
                               "sysconfig.get_config_var('ABIFLAGS')); print(os.path.dirname(os.path.dirname(t.__file__)))"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if said.returncode == 0:
            found.append((program, *said.stdout.splitlines()))
    if not found:
        raise Unavailable("SPPROF_TEST_PYTHONS names none that has its tests")
    return found


def prepare_greenlet(_home):
    """The package brings its tests; they look for leaks with objgraph."""
    need_files(PYTHON, GREENLET_TESTS, "/usr/lib/python3/dist-packages/objgraph.py")


@once
def prepare_redis(home):
    """tests/ of the source beside the installed programs, which it looks for in src/."""
    version = installed_version("redis-server")
    need_files("/usr/bin/tclsh", "/usr/bin/redis-benchmark")
    source = source_of("redis", version.partition(":")[2], home)
    shutil.move(os.path.join(source, "tests"), os.path.join(home, "tests"))
    shutil.move(os.path.join(source, "redis.conf"), os.path.join(home, "redis.conf"))
    os.makedirs(os.path.join(home, "src"))
    for program in glob.glob("/usr/bin/redis-*"):
        os.symlink(program, os.path.join(home, "src", os.path.basename(program)))
    for name in os.listdir(home):
        if name not in ("tests", "redis.conf", "src"):
            path = os.path.join(home, name)
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path)


@once
def prepare_postgres(home):
    """src/test/regress of the source, and its C functions built against the headers of the server."""
    version = installed_version("postgresql-15")
    need_files(PG_BIN + "/initdb", PG_REGRESS)
    source = source_of("postgresql-15", version, home)
    # The source's own headers come first: the package's, which has those that are generated, can be a newer version's.
    headers = "/usr/include/postgresql/15/server"
    if not os.path.exists(headers):
        headers = os.path.join(unpacked_package("postgresql-server-dev-15", home), headers[1:])
    regress = os.path.join(source, "src", "test", "regress")
    call(["gcc", "-O2", "-shared", "-fPIC", "-w", "-Werror=implicit", "-I", os.path.join(source, "src", "include"), "-I", headers,
          "-I", "/usr/include/postgresql", "-o", os.path.join(home, "regress.so"), os.path.join(regress, "regress.c")],
         home, "regress.so cannot be built")
    os.makedirs(os.path.join(home, "src", "test"))
    shutil.move(regress, os.path.join(home, "src", "test", "regress"))
    shutil.rmtree(source)


@once
def prepare_git(home):
    """The source, with what its scripts need besides the installed git: test-tool, the templates, what it was built with."""
    version = installed_version("git")
    need_files(GIT, "/usr/include/zlib.h")
    source = source_of("git", version, home)
    make = ["make", "-s", f"-j{os.cpu_count()}", "CFLAGS=-O1 -w", *(f"NO_{what}=1" for what in ("CURL", "EXPAT", "GETTEXT", "OPENSSL", "PYTHON", "TCLTK"))]
    call([*make, "t/helper/test-tool", "t/helper/test-fake-ssh"], source, "test-tool cannot be built")
    # The scripts ask this file what the installed git can do.
    call([*make, "USE_LIBPCRE2=1", "GIT-BUILD-OPTIONS"], source, "test-tool cannot be built")
    call(["make", "-s", "-C", "templates"], source, "git's templates cannot be made")
    for name in os.listdir(source):
        shutil.move(os.path.join(source, name), os.path.join(home, name))


@once
def prepare_sqlite(home):
    """The source and testfixture, which is a Tcl interpreter with sqlite and its tests' own commands."""
    version = installed_version("sqlite3")
    need_files("/usr/include/tcl8.6/tcl.h", "/usr/lib/tcl8.6/tclConfig.sh")
    os.rename(source_of("sqlite3", version, home), os.path.join(home, "source"))
    why = "testfixture cannot be built"
    call(["source/configure", "--quiet", "--with-tcl=/usr/lib/tcl8.6", "--enable-fts5", "CFLAGS=-O2 -w"], home, why)
    call(["make", "-s", f"-j{os.cpu_count()}", "testfixture"], home, why)
