#!/bin/sh
# zpack.sh ZPACK - whatever examples/zpack writes, zstd gives back the input; and what it does when reading or writing fails.
zpack=$1
command -v zstd >/dev/null || { echo "skipped: no zstd"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
bad=0
fail() {
	echo "$1"
	cat err 2>/dev/null
	bad=1
}

# Text, noise, zeros; sizes at the edges of a chunk (4 KiB here).
i=0
while [ $i -lt 3000 ]; do
	echo "line $i of the text, of which many are alike"
	i=$((i + 1))
done >text
head -c 200000 /dev/urandom >noise
head -c 3000000 /dev/zero >zeros
cat text noise zeros text >mixed
for size in 0 1 4095 4096 4097 8192 12288; do
	head -c $size mixed >size-$size
done

same() { # same INPUT COMPRESSED WHAT
	zstd -q -t "$2" 2>err || fail "$3: zstd -t refuses it"
	zstd -q -d -c "$2" 2>err | cmp -s - "$1" || fail "$3: the content is another"
}
for file in text noise zeros mixed size-*; do
	for options in "-t 1" "-t 2 -b 4" "-t 7 -b 64 -l 1" "-l 9"; do
		"$zpack" $options "$file" 2>err || fail "$options $file: status $?"
		same "$file" "$file.zst" "$options $file"
		rm -f "$file.zst"
	done
done
"$zpack" -l 19 -t 2 -b 256 mixed out.zst 2>err || fail "level 19"
same mixed out.zst "level 19"
GOMAXPROCS=1 "$zpack" -t 4 -b 16 <mixed >out.zst 2>err || fail "stdin to stdout"
same mixed out.zst "stdin to stdout"
# A pipe that gives and takes a little at a time.
(cat text; sleep 0.1; cat text) | "$zpack" -b 4 - - 2>err | (sleep 0.1; cat) >out.zst
cat text text >twice
same twice out.zst "slow pipes"
"$zpack" -v text - >out.zst 2>err || fail "-v"
grep -q '^zpack: 1 chunks, .* -> .* bytes in ' err || fail "-v says something else"

# From the middle of a file.
(dd bs=5 count=1 status=none of=first; "$zpack") <size-4097 >out.zst 2>err || fail "from the middle"
tail -c +6 size-4097 >rest
same rest out.zst "from the middle"
# It shrinks while it is read: the pipe is full, all chunks are in use, the reader waits.
cp noise shrinks
mkfifo full
"$zpack" -b 4 -t 1 shrinks - >full 2>err &
exec 4<full
dd bs=1 count=1 of=first status=none <&4 # it has begun
: >shrinks
cat <&4 >/dev/null
exec 4<&-
wait $! && fail "shrinks: not seen"
grep -q 'shrinks became shorter while it was read' err || fail "shrinks: says something else"

# refuses STATUS WORDS COMMAND...
refuses() {
	want=$1 words=$2
	shift 2
	timeout 60 "$@" >/dev/null 2>err
	got=$?
	[ $got = "$want" ] || fail "$*: status $got, not $want"
	grep -q "$words" err || fail "$*: does not say '$words'"
	[ "$(wc -l <err)" = 1 ] || [ "$want" = 2 ] || fail "$*: more than one line"
}
refuses 1 'cannot open none: No such file' "$zpack" none
refuses 1 'cannot read .: Is a directory' "$zpack" . -
refuses 1 'cannot create none/x.part: No such file' "$zpack" text none/x
refuses 2 'usage:' "$zpack" -l 0 text
refuses 2 'usage:' "$zpack" -t x text
refuses 2 'usage:' "$zpack" a b c
[ -c /dev/full ] && refuses 1 'cannot write -: No space left' sh -c "'$zpack' -b 4 noise - >/dev/full"
# The reader hangs in a pipe that gives nothing more: a writer that fails ends the program all the same.
mkfifo pipe
(exec 3>pipe; cat noise >&3; while kill -0 $$ 2>/dev/null && [ ! -e over ]; do sleep 0.1; done) &
[ -c /dev/full ] && refuses 1 'cannot write -: No space left' sh -c "'$zpack' -b 4 - - <pipe >/dev/full"
: >over
wait
# Nobody reads: EPIPE is told, not died of.
refuses 1 'cannot write -: Broken pipe' sh -c "{ '$zpack' -b 4 noise - 3>&-; echo \$? >status; } | true; while [ ! -s status ]; do sleep 0.01; done; exit \$(cat status)"
# A limit on the file's size, told as an error: the part is taken away.
refuses 1 'cannot write big.zst: File too large' sh -c "trap '' XFSZ; ulimit -f 16; '$zpack' -b 4 noise big.zst"
[ ! -e big.zst ] && [ ! -e big.zst.part ] || fail "a part was left"
exit $bad
