#!/bin/sh
# fetch-go-programs.sh [DIR] - real Go programs as their makers ship them, and something for them to work on, into DIR
# (default build/cache/real): esbuild with a large bundle, tsgo with a project to check. Needs npm; installs nothing else.
# Versions are pinned. Packages are only unpacked: nothing of theirs runs at install time.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-build/cache/real}
esbuild=@esbuild/linux-x64@0.28.2
tsgo=@typescript/native-preview-linux-x64@7.0.0-dev.20260707.2
inputs="three@0.187.0 react@19.3.1 react-dom@19.3.1 scheduler@0.28.0 lodash-es@4.18.1 typescript@5.9.3 rxjs@7.8.2 tslib@2.8.1"

if ! command -v npm >/dev/null; then
	echo "fetch-go-programs.sh: there is no npm: install npm" >&2
	exit 1
fi
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
stamp="$esbuild $tsgo $inputs"
if [ "$(cat "$dir/done" 2>/dev/null)" = "$stamp" ]; then
	exit 0
fi
rm -f "$dir/done"
part=$(mktemp -d "$dir/part.XXXXXX")
trap 'rm -rf "$part"' EXIT

# get PACKAGE FOLDER: unpacks one package.
get() {
	rm -rf "$2"
	mkdir -p "$2"
	archive=$(cd "$part" && npm pack --silent "$1")
	tar xzf "$part/$archive" -C "$2" --strip-components=1
	rm "$part/$archive"
}

get "$esbuild" "$part/esbuild"
cp "$part/esbuild/bin/esbuild" "$dir/esbuild"
get "$tsgo" "$dir/tsgo-package"
ln -sf tsgo-package/lib/tsgo "$dir/tsgo"
chmod +x "$dir/esbuild" "$dir/tsgo-package/lib/tsgo"
for input in $inputs; do
	get "$input" "$dir/node_modules/${input%@*}"
done

cat > "$dir/entry.js" <<'JS'
import * as three from "three";
import * as react from "react";
import * as dom from "react-dom/client";
import * as server from "react-dom/server";
import * as lodash from "lodash-es";
import * as typescript from "typescript";
import * as rxjs from "rxjs";
console.log(three, react, dom, server, lodash, typescript, rxjs);
JS
mkdir -p "$dir/project"
cat > "$dir/project/tsconfig.json" <<'JSON'
{
	"compilerOptions": {
		"strict": true, "noEmit": true, "allowJs": true, "checkJs": true, "target": "es2022", "module": "esnext",
		"moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": []
	},
	"include": [
		"../node_modules/rxjs/src/**/*.ts",
		"../node_modules/lodash-es/*.js",
		"../node_modules/three/src/animation/**/*.js",
		"../node_modules/three/src/audio/**/*.js",
		"../node_modules/three/src/cameras/**/*.js",
		"../node_modules/three/src/core/**/*.js",
		"../node_modules/three/src/extras/**/*.js",
		"../node_modules/three/src/geometries/**/*.js",
		"../node_modules/three/src/helpers/**/*.js",
		"../node_modules/three/src/lights/**/*.js",
		"../node_modules/three/src/loaders/**/*.js",
		"../node_modules/three/src/materials/**/*.js",
		"../node_modules/three/src/math/**/*.js",
		"../node_modules/three/src/objects/**/*.js",
		"../node_modules/three/src/scenes/**/*.js",
		"../node_modules/three/src/textures/**/*.js"
	],
	"exclude": []
}
JSON
echo "$stamp" > "$dir/done"
