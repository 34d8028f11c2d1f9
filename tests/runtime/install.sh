#!/bin/sh
# Installs a copy and builds two programs against it, in C and in C++, shared, static and wholly static, with nothing but pkg-config.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(dirname "$0")
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
cmake --install "$GTRACE_BUILD_DIR" --prefix "$work/copy" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$(find "$work/copy" -name gtrace-runtime.pc)")
export PKG_CONFIG_PATH
test "$(pkg-config --variable=prefix gtrace-runtime)" = "$work/copy"
libdir=$(pkg-config --variable=libdir gtrace-runtime)
flags="-Wall -Wextra -Wshadow -Werror -Wno-unused-parameter -O2 $(pkg-config --cflags gtrace-runtime)"
fail() { echo "$*"; exit 1; }
says() { "$1" >"$work/out" && grep -qx 'sum 6, after 1 tick' "$work/out" || fail "$1: $(cat "$work/out")"; }

# build COMPILER SOURCE NAME: the three ways.
build() {
	$1 $flags "$2" $(pkg-config --libs gtrace-runtime) -pthread -Wl,-rpath,"$libdir" -o "$work/$3-shared"
	says "$work/$3-shared"
	$1 $flags "$2" -L"$libdir" -l:libgtrace_runtime.a -l:libgtrace.a \
		$(pkg-config --static --libs gtrace-runtime | sed 's/-lgtrace_runtime//; s/-lgtrace//') -o "$work/$3-libs"
	says "$work/$3-libs"
	$1 $flags -static "$2" $(pkg-config --static --libs gtrace-runtime) -o "$work/$3-static" 2>"$work/log" ||
		{ cat "$work/log"; fail "-static does not link"; }
	says "$work/$3-static"
	readelf -d "$work/$3-shared" | grep -q 'NEEDED.*libgtrace_runtime\.so\.[0-9]*\.[0-9]*\]' || fail "$3: the shared library is not used"
	! readelf -d "$work/$3-libs" | grep -q 'NEEDED.*libgtrace' || fail "$3: a shared library is used"
}
build "${CC:-cc}" "$here/install_program.c" c
if command -v c++ >/dev/null; then
	build "${CXX:-c++} -std=c++11 -Wpedantic" "$here/install_program.cc" cxx
fi
if command -v clang++ >/dev/null; then
	clang++ -std=c++17 -Wpedantic $flags -fsyntax-only "$here/install_program.cc"
fi

# The debug server and the profiles, as their pkg-config files say; a server without a program that asks it is enough here.
cat >"$work/serve.c" <<'C'
#include <gtrace/debug.h>
#include <gtrace/go.h>
#include <gtrace/pprof.h>

static int run(int argc, char **argv)
{
	return gt_debug_serve("127.0.0.1:0") < 0;
}

int main(int argc, char **argv)
{
	return gt_main(argc, argv, run);
}
C
${CC:-cc} $flags "$work/serve.c" $(pkg-config --cflags --libs gtrace-debug gtrace-profile) -Wl,-rpath,"$libdir" -o "$work/serve"
"$work/serve" || fail "a program with the debug server: status $?"
for library in runtime debug profile; do
	nm -D --defined-only "$libdir/libgtrace_$library.so" | awk '{print $3}' | sed 's/@.*//' | grep -vE '^(gt_|GTRACE_)' && fail "libgtrace_$library shows more than gt_ names"
	readelf -d "$libdir/libgtrace_$library.so" | grep -q "SONAME.*libgtrace_$library\.so\.[0-9]*\.[0-9]*\]" || fail "libgtrace_$library has no soname with a version"
done

# Each header alone, in C and in C++; hooks.h and what it includes are C only.
for header in "$work"/copy/include/gtrace/*.h; do
	name=$(basename "$header")
	test $name != chan_cxx.h || continue # chan.h includes it
	echo "#include <gtrace/$name>" >"$work/alone.c"
	${CC:-cc} -std=gnu11 $flags -fsyntax-only "$work/alone.c" || fail "$name does not stand alone in C"
	case $name in hooks.h | shm.h | atomics.h) continue ;; esac
	cp "$work/alone.c" "$work/alone.cc"
	! command -v c++ >/dev/null || c++ -std=c++11 $flags -Wno-shadow -fsyntax-only "$work/alone.cc" || fail "$name does not stand alone in C++"
done

# Nothing but the interface is seen, each symbol with its version.
nm -D --defined-only "$libdir/libgtrace_runtime.so" | awk '{print $3}' >"$work/symbols"
! grep -vE '^(gt_.*@@GTRACE_RUNTIME_[0-9.]+|GTRACE_RUNTIME_[0-9.]+)$' "$work/symbols" || fail "the library shows more than gt_ names with a version"
grep -q '^gt_go@@' "$work/symbols"
grep -q '^gt__chan_send@@' "$work/symbols"
! grep -qE '^gt__(worker|sched|lock|park)' "$work/symbols" || fail "the library shows its inside"

# gdb finds its commands beside the library.
if command -v gdb >/dev/null && gdb -q -batch -nx -ex 'python print(1)' 2>/dev/null | grep -qx 1; then
	gdb -q -batch -nx -iex 'set debuginfod enabled off' -iex "add-auto-load-safe-path $libdir" -ex 'break gt_wg_wait' -ex run -ex 'info goroutines' \
		"$work/c-shared" >"$work/log" 2>&1 || true
	if ! grep -qE 'ptrace|personality|Could not trace' "$work/log"; then
		grep -q '\[running\].* main: ' "$work/log" || { cat "$work/log"; fail "gdb does not list the goroutines"; }
	fi
fi

# gtrace records what links the installed library.
gtrace=$GTRACE_BUILD_DIR/bin/gtrace
if [ -x "$gtrace" ]; then
	for way in shared static; do
		"$gtrace" record -o "$work/$way.gtrace" "$work/c-$way" >"$work/out" 2>"$work/log" || { cat "$work/log"; fail "record of $way"; }
		"$gtrace" check "$work/$way.gtrace" >"$work/log" 2>&1 || { cat "$work/log"; fail "check of $way"; }
		"$gtrace" convert "$work/$way.gtrace" --to text -o - | grep -q '^GoCreate .* g=2 ' || fail "$way: no goroutine 2 in the trace"
	done
fi
echo "the installed copy builds the programs, shared and static, in C and C++"
