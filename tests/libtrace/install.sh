#!/bin/sh
# Installs a copy and builds examples/c-hooks against it, shared and static, with nothing but pkg-config.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
cmake --install "$GTRACE_BUILD_DIR" --prefix "$work/copy" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/copy" -name gtrace.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
test "$(pkg-config --variable=prefix gtrace)" = "$work/copy"
libdir=$(pkg-config --variable=libdir gtrace)
source=$GTRACE_SOURCE_DIR/examples/c-hooks/main.c
cc=${CC:-cc}

$cc -Wall -Wextra -Werror -O2 "$source" $(pkg-config --cflags --libs gtrace) -pthread -Wl,-rpath,"$libdir" -o "$work/shared"
"$work/shared" 20 | grep '^items=60 created=5 '
$cc -Wall -Wextra -Werror -O2 "$source" $(pkg-config --cflags gtrace) -L"$libdir" -l:libgtrace.a \
	$(pkg-config --static --libs gtrace | sed 's/-lgtrace//') -o "$work/static"
"$work/static" 20 | grep '^items=60 created=5 '
readelf -n "$work/static" | grep -q gtrace || { echo "the note that gtrace looks for is not in the program"; exit 1; }
readelf -d "$work/shared" | grep -q 'NEEDED.*libgtrace\.so' || { echo "the shared library is not used"; exit 1; }

# A prefix with a space in it, staged as packagers do: the manifest names all that came.
DESTDIR=$work/stage cmake --install "$GTRACE_BUILD_DIR" --prefix "/a copy" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
flags=$(PKG_CONFIG_PATH="$work/stage/a copy/${pc#"$work/copy/"}" && PKG_CONFIG_PATH=${PKG_CONFIG_PATH%/*} pkg-config --cflags --libs gtrace)
case $flags in
'-I/a\ copy/'*' -L/a\ copy/'*) ;;
*) echo "flags that no compiler understands: $flags"; exit 1 ;;
esac

# As a part of another project.
mkdir "$work/outer"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(outer C ASM)\nadd_subdirectory(%s gtrace)\n' "$GTRACE_SOURCE_DIR" >"$work/outer/CMakeLists.txt"
cmake -S "$work/outer" -B "$work/outer/build" -G Ninja -DGTRACE_TESTS=OFF >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

# Nothing but the interface is seen, and a C++ program may include gtrace.h.
nm -D --defined-only "$libdir/libgtrace.so" | awk '{print $3}' | grep -v '^gt_' | grep -v '^$' && { echo "the library shows more than gt_ names"; exit 1; }
if command -v c++ >/dev/null; then
	echo '#include <gtrace/gtrace.h>
int main() { return gt_tracing(); }' >"$work/plus.cc"
	c++ -Wall -Wextra -Werror "$work/plus.cc" $(pkg-config --cflags --libs gtrace) -Wl,-rpath,"$libdir" -o "$work/plus"
	"$work/plus"
fi
echo "the installed copy builds the example, shared and static"
