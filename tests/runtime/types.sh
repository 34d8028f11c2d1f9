#!/bin/sh
# types.sh SOURCE INCLUDE... - each compiler here takes types.c without a warning, and refuses each BAD.
source=$1
shift
flags="-std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Werror -fsyntax-only"
for folder; do
	flags="$flags -I$folder"
done
failed=0
found=0
for cc in gcc clang; do
	command -v $cc >/dev/null || continue
	found=1
	$cc $flags "$source" || { echo "$cc does not take what is right"; failed=1; }
	for bad in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do
		! $cc $flags -DBAD=$bad "$source" 2>/dev/null || { echo "$cc takes BAD $bad"; failed=1; }
	done
done
[ $found = 1 ] || { echo "neither gcc nor clang is here"; exit 77; }
exit $failed
