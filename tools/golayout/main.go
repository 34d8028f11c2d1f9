// Golayout makes one table of agent/layouts/ from what Go itself says: offsets from the DWARF of a program that the
// toolchain built, wait reasons from the toolchain's source. golayout.sh runs it.
//
//	golayout PROGRAM GOROOT FIELDS REASONS
//
// FIELDS is agent/golayout.h, which names the fields; REASONS is format/wire/reasons.def.
package main

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

func structs(path string) map[string]*dwarf.StructType {
	file, err := elf.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	data, err := file.DWARF()
	if err != nil {
		log.Fatal(path, ": ", err)
	}
	wanted := map[string]bool{"runtime.g": true, "runtime.m": true, "runtime.p": true, "runtime.coro": true,
		"runtime.moduledata": true, "runtime.sudog": true, "runtime.pollDesc": true, "runtime.timer": true,
		"runtime.gcControllerState": true, "runtime.mspan": true}
	found := map[string]*dwarf.StructType{}
	for reader := data.Reader(); len(found) < len(wanted); {
		entry, err := reader.Next()
		if err != nil {
			log.Fatal(err)
		}
		if entry == nil {
			break
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		if entry.Tag != dwarf.TagStructType || !wanted[name] {
			continue
		}
		typ, err := data.Type(entry.Offset)
		if err != nil {
			log.Fatal(err)
		}
		found[name] = typ.(*dwarf.StructType)
	}
	return found
}

// offset follows a path such as "g.sched.pc"; -1 when this version has no such field.
func offset(types map[string]*dwarf.StructType, path string) int64 {
	names := strings.Split(path, ".")
	typ := types["runtime."+names[0]]
	sum := int64(0)
	for _, name := range names[1:] {
		var field *dwarf.StructField
		if typ == nil {
			return -1
		}
		for _, f := range typ.Field {
			if f.Name == name {
				field = f
			}
		}
		if field == nil {
			return -1
		}
		sum += field.ByteOffset
		inner := field.Type
		for {
			named, ok := inner.(*dwarf.TypedefType)
			if !ok {
				break
			}
			inner = named.Type
		}
		typ, _ = inner.(*dwarf.StructType)
	}
	return sum
}

func read(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return string(text)
}

// reasons gives, by number, our name for each wait reason of the runtime's source.
func reasons(goroot, table string) []string {
	ours := map[string]string{"": "UNKNOWN"}
	for _, m := range regexp.MustCompile(`GT_REASON\(\d+,\s*(\w+),\s*"([^"]*)"\)`).FindAllStringSubmatch(table, -1) {
		ours[m[2]] = m[1]
	}
	source := read(filepath.Join(goroot, "src/runtime/runtime2.go"))
	texts := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(waitReason\w+):\s+"([^"]*)",`).FindAllStringSubmatch(source, -1) {
		texts[m[1]] = m[2]
	}
	block := regexp.MustCompile(`(?s)\n\twaitReasonZero\s.*?\n\)`).FindString(source)
	if block == "" {
		log.Fatal("no waitReasonZero in ", goroot)
	}
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^\s+(waitReason\w+)`).FindAllStringSubmatch(block, -1) {
		// Go 1.24 says "synctest" where later versions say "durable".
		name, ok := ours[strings.Replace(texts[m[1]], "(synctest)", "(durable)", 1)]
		if !ok {
			log.Fatalf("%s is %q, which reasons.def has not", m[1], texts[m[1]])
		}
		list = append(list, name)
	}
	return list
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("golayout: ")
	if len(os.Args) != 5 {
		log.Fatal("usage: golayout PROGRAM GOROOT FIELDS REASONS")
	}
	types := structs(os.Args[1])
	if types["runtime.g"] == nil || types["runtime.m"] == nil || types["runtime.p"] == nil {
		log.Fatal(os.Args[1], ": no runtime.g in its DWARF")
	}
	fields := regexp.MustCompile(`X\((\w+), "([^"]+)"\)`).FindAllStringSubmatch(read(os.Args[3]), -1)
	if len(fields) == 0 {
		log.Fatal(os.Args[3], ": names no fields")
	}
	for _, m := range fields {
		fmt.Printf("GT_LAYOUT(%s, %d)\n", m[1], offset(types, m[2]))
	}
	list := reasons(os.Args[2], read(os.Args[4]))
	fmt.Printf("GT_WAIT_REASONS(%d)\n", len(list))
	for number, name := range list {
		fmt.Printf("GT_WAIT_REASON(%d, %s)\n", number, name)
	}
}
