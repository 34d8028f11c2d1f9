/* cmd_snapshot.c - gtrace snapshot: asks a running flight recorder for a file, waits for it, says what is in it. */
#include "cli/cli.h"
#include "cli/control.h"

#include <argp.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEERS_MAX 1024

enum { KEY_REASON = 256, KEY_TIMEOUT, KEY_LIST };

struct snapshot_options {
	pid_t pid;
	const char *output, *reason, *timeout_text;
	uint64_t timeout_ns;
	bool list, quiet;
};

static const struct argp_option options[] = {
	{"output", 'o', "FILE", 0, "write it to FILE (default: the recorder's own name, with time and cause)", 0},
	{"reason", KEY_REASON, "TEXT", 0, "what it is for: stands in the file, and in its name", 0},
	{"timeout", KEY_TIMEOUT, "TIME", 0, "how long to wait for the file (default: 10s)", 0},
	{"list", KEY_LIST, NULL, 0, "list your running flight recorders", 0},
	{"quiet", 'q', NULL, 0, "print the name of the file only", 0},
	{0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct snapshot_options *o = state->input;
	char *end;
	long pid;

	switch (key) {
	case 'o':
		if (!*arg || strlen(arg) >= PATH_MAX)
			argp_error(state, "-o takes the name of a file");
		if (strcmp(arg, "-") == 0)
			argp_error(state,
				"-o takes the name of a file, not -: who records writes it (a file of that name: ./-)");
		o->output = arg;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case KEY_REASON:
		if (strlen(arg) >= GT_CONTROL_REASON_MAX)
			argp_error(state, "--reason takes at most %d bytes", GT_CONTROL_REASON_MAX - 1);
		o->reason = arg;
		return 0;
	case KEY_TIMEOUT:
		if (!gt_parse_duration(arg, &o->timeout_ns) || !o->timeout_ns || o->timeout_ns > 86400000000000)
			argp_error(state, "--timeout takes a time with its unit, up to 24h (250ms, 5s): %s", arg);
		o->timeout_text = arg;
		return 0;
	case KEY_LIST:
		o->list = true;
		return 0;
	case ARGP_KEY_ARG:
		pid = strtol(arg, &end, 10);
		if (o->pid)
			argp_error(state, "one PID at a time");
		if (*end || end == arg || pid <= 0 || pid > INT_MAX)
			argp_error(state, "no number of a process: %s", arg);
		o->pid = (pid_t)pid;
		return 0;
	case ARGP_KEY_END:
		if (o->list && o->pid)
			argp_error(state, "--list takes no PID");
		if (!o->list && !o->pid)
			argp_error(state, "PID is missing: of the program, or of its gtrace (--list shows them)");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- why there is none ---- */

/* The arguments of @pid if it is a gtrace that records: `record' or `attach'. */
static bool is_recorder(pid_t pid, char *args, size_t size)
{
	char path[64], *command;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, args, size - 2);
	close(fd);
	if (got <= 0)
		return false;
	args[got] = args[got + 1] = 0;
	command = strrchr(args, '/') ? strrchr(args, '/') + 1 : args;
	if (strcmp(command, "gtrace") != 0)
		return false;
	command = args + strlen(args) + 1;
	return strcmp(command, "record") == 0 || strcmp(command, "attach") == 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	const char *state;
	ssize_t got;
	int fd, parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	state = strrchr(text, ')');
	if (state)
		sscanf(state + 1, " %*c %d", &parent);
	return parent;
}

/* Of `attach', whose last words name the program somewhere. */
static bool attached_to(const char *args, size_t size, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	for (size_t at = 0; at < size && args[at]; at += strlen(args + at) + 1)
		if (strcmp(args + at, text) == 0)
			return true;
	return false;
}

/* The gtrace that records @pid, or is it; 0. */
static pid_t find_recorder(pid_t pid)
{
	static char args[4096];
	struct dirent *entry;
	pid_t found = 0;
	DIR *proc;

	if (is_recorder(pid, args, sizeof(args)))
		return pid;
	if (is_recorder(parent_of(pid), args, sizeof(args)))
		return parent_of(pid);
	proc = opendir("/proc");
	while (proc && !found && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		memset(args, 0, sizeof(args));
		if (is_recorder(atoi(entry->d_name), args, sizeof(args)) && attached_to(args, sizeof(args), pid))
			found = atoi(entry->d_name);
	}
	if (proc)
		closedir(proc);
	return found;
}

static int nobody(pid_t pid)
{
	char path[64];
	struct stat st;
	pid_t recorder;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return gt_die_text(GT_EXIT_FAILURE,
			"no such process: %d: gtrace snapshot --list shows what is recorded", (int)pid);
	if (stat(path, &st) == 0 && st.st_uid != geteuid() && geteuid() != 0)
		return gt_die_text(GT_EXIT_FAILURE,
			"process %d belongs to user %u: only that user and root may ask its recorder", (int)pid,
			(unsigned int)st.st_uid);
	recorder = find_recorder(pid);
	snprintf(path, sizeof(path), "/proc/%d", (int)recorder);
	if (recorder && stat(path, &st) == 0 && st.st_uid != geteuid() && geteuid() != 0)
		return gt_die_text(GT_EXIT_FAILURE,
			"the recorder of process %d (gtrace %d) belongs to user %u: only that user and root may ask it",
			(int)pid, (int)recorder, (unsigned int)st.st_uid);
	if (recorder)
		return gt_die_text(GT_EXIT_FAILURE,
			"process %d is no flight recorder, and has none: gtrace %d records all of it to its end: "
			"record with "
			"--flight",
			(int)pid, (int)recorder);
	return gt_die_text(GT_EXIT_FAILURE, "nobody records process %d: gtrace attach --flight %d", (int)pid, (int)pid);
}

/* ---- asking ---- */

static uid_t owner(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return geteuid() == 0 && stat(path, &st) == 0 ? st.st_uid : geteuid();
}

static int failed(const struct snapshot_options *o, int ret)
{
	if (ret == -EAGAIN)
		return gt_die_text(GT_EXIT_FAILURE,
			"no answer in %s: the recorder of process %d: busy with a slow disk, or stopped: the snapshot "
			"may still come",
			o->timeout_text, (int)o->pid);
	return gt_die_text(GT_EXIT_FAILURE, "cannot ask the recorder of process %d: %s", (int)o->pid, strerror(-ret));
}

static int ask(const struct snapshot_options *o, const struct gt_control_peer *peer, uid_t uid)
{
	static struct gt_control_question question = {.what = GT_CONTROL_SNAPSHOT};
	static struct gt_control_answer answer;
	char folder[PATH_MAX];
	int ret;

	/* The recorder stands in another folder. */
	if (o->output && o->output[0] != '/') {
		if (!getcwd(folder, sizeof(folder)))
			return gt_die_text(GT_EXIT_FAILURE, "cannot tell this folder: %s", strerror(errno));
		if ((size_t)snprintf(question.path, PATH_MAX, "%s/%s", folder, o->output) >= PATH_MAX)
			return gt_die_text(GT_EXIT_FAILURE, "the name is too long: %s", o->output);
	} else if (o->output) {
		snprintf(question.path, PATH_MAX, "%s", o->output);
	}
	if (o->reason)
		snprintf(question.reason, sizeof(question.reason), "%s", o->reason);
	ret = gt_control_ask(peer, uid, &question, (int64_t)o->timeout_ns, &answer);
	if (ret == -ESRCH)
		return -1;
	if (ret < 0)
		return failed(o, ret);
	if (answer.failed)
		return gt_die_text(GT_EXIT_FAILURE, "%s", answer.text);
	printf("%s\n", answer.path);
	if (fflush(stdout) != 0)
		return gt_die_text(GT_EXIT_FAILURE, "cannot write to standard output: %s", strerror(errno));
	if (!o->quiet)
		fprintf(stderr, "gtrace: %s\n", answer.text);
	return 0;
}

static int snapshot(const struct snapshot_options *o)
{
	uid_t own = geteuid(), other = owner(o->pid), users[2] = {own, other};
	struct gt_control_peer *peers = calloc(PEERS_MAX, sizeof(*peers));
	struct gt_error err;
	int status = -1;

	if (!peers)
		return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	for (size_t u = 0; u < (own == other ? 1u : 2u) && status < 0; u++) {
		int count = gt_control_list(users[u], peers, PEERS_MAX, &err);

		if (count < 0)
			status = gt_die(GT_EXIT_FAILURE, &err);
		for (int i = 0; i < count && status < 0; i++)
			if (peers[i].recorder == o->pid || peers[i].program == o->pid)
				status = ask(o, &peers[i], users[u]);
	}
	free(peers);
	return status < 0 ? nobody(o->pid) : status;
}

static int list(const struct snapshot_options *o)
{
	static struct gt_control_question question = {.what = GT_CONTROL_STATUS};
	static struct gt_control_answer answer;
	struct gt_control_peer *peers = calloc(PEERS_MAX, sizeof(*peers));
	struct gt_error err;
	int count = peers ? gt_control_list(geteuid(), peers, PEERS_MAX, &err) : 0, status = 0;

	if (!peers)
		return gt_die_text(GT_EXIT_FAILURE, "out of memory");
	if (count < 0)
		status = gt_die(GT_EXIT_FAILURE, &err);
	for (int i = 0; i < count; i++) {
		int ret = gt_control_ask(&peers[i], geteuid(), &question, (int64_t)o->timeout_ns, &answer);

		if (ret == -ESRCH)
			continue;
		if (ret < 0)
			printf("%d (gtrace %d): no answer: %s\n", (int)peers[i].program, (int)peers[i].recorder,
				ret == -EAGAIN ? "stopped?" : strerror(-ret));
		else
			printf("%d (gtrace %d) %s: %s\n", (int)peers[i].program, (int)peers[i].recorder, answer.path,
				answer.text);
	}
	free(peers);
	return status;
}

int gt_cmd_snapshot(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "PID\n--list",
		.doc = "Asks the flight recorder of PID for a snapshot, waits until the file is written, prints its "
		       "name, and on "
		       "standard error what it holds. PID is the recorded program's, or that of its gtrace."
		       "\vThe exit status is 0 when the file is there, 1 when it is not, 2 for wrong "
		       "usage.\n\nExamples:\n"
		       "  gtrace snapshot 4711\n  gtrace snapshot -o slow.gtrace --reason 'slow login' 4711\n"
		       "  gtrace view \"$(gtrace snapshot -q 4711)\"",
	};
	struct snapshot_options o = {.timeout_ns = 10000000000, .timeout_text = "10s"};

	argp_err_exit_status = GT_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	return o.list ? list(&o) : snapshot(&o);
}
