#!/bin/sh
# hello.sh - a script: gtrace must say what to run instead.
echo "a script"
