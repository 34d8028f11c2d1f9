/* replay_main.c - runs a fuzz target on files and on the files of directories, once each; for builds without libFuzzer. */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, off_t size)
{
	/* Exactly the size, so that a sanitizer sees one byte too many. */
	uint8_t *data = malloc(size ? (size_t)size : 1);
	FILE *file = fopen(path, "rb");
	int ok = data && file && fread(data, 1, (size_t)size, file) == (size_t)size;

	if (file)
		fclose(file);
	if (ok)
		LLVMFuzzerTestOneInput(data, (size_t)size);
	else
		fprintf(stderr, "cannot read %s\n", path);
	free(data);
	return ok ? 1 : -1;
}

/* How many files were run; negative when one could not be read. */
static int replay(const char *path)
{
	struct dirent *entry;
	struct stat st;
	int count = 0;
	DIR *dir;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, st.st_size);
	dir = opendir(path);
	while (dir && count >= 0 && (entry = readdir(dir)) != NULL) {
		char below[PATH_MAX];
		int more;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		more = replay(below);
		count = more < 0 ? -1 : count + more;
	}
	if (dir)
		closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++) {
		int more = replay(argv[i]);

		if (more < 0)
			return 1;
		count += more;
	}
	if (count == 0) {
		fprintf(stderr, "no file to run: give files or directories\n");
		return 1;
	}
	printf("%d inputs\n", count);
	return 0;
}
