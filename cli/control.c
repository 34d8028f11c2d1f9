/* control.c - see control.h. Names are reached through the folder's descriptor: no length of a path, no race of a link. */
#include "cli/control.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDERS_MAX 3
#define BACKLOG     128
#define LISTENER    UINT32_MAX

/* ---- the folder ---- */

static bool is_own_folder(const char *path, uid_t uid)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid;
}

/* Where sockets of @uid may be, best first. */
static size_t folders(uid_t uid, char names[FOLDERS_MAX][PATH_MAX])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char run_user[64];
	size_t count = 0;

	snprintf(run_user, sizeof(run_user), "/run/user/%u", (unsigned int)uid);
	if (uid == geteuid() && runtime && runtime[0] == '/' && strlen(runtime) < PATH_MAX - 16 &&
		is_own_folder(runtime, uid))
		snprintf(names[count++], PATH_MAX, "%s/gtrace", runtime);
	if (is_own_folder(run_user, uid) && !(count && strncmp(names[0], run_user, strlen(run_user)) == 0))
		snprintf(names[count++], PATH_MAX, "%s/gtrace", run_user);
	snprintf(names[count++], PATH_MAX, "/tmp/gtrace-%u", (unsigned int)uid);
	return count;
}

/* A descriptor, or -errno. Somebody else's folder, or one that others may look into, is not used. */
static int open_folder(const char *name, uid_t uid, bool make, struct gt_error *err)
{
	struct stat st;
	int fd;

	if (make && mkdir(name, 0700) < 0 && errno != EEXIST)
		return gt_fail(err, errno, "cannot make the folder of sockets: %s: %s", name, strerror(errno));
	fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return gt_fail(err, errno, "cannot open the folder of sockets: %s: %s", name, strerror(errno));
	if (fstat(fd, &st) == 0 && st.st_uid == uid && !(st.st_mode & 077))
		return fd;
	close(fd);
	if (st.st_uid != uid)
		return gt_fail(err, EACCES,
			"the folder of sockets belongs to user %u: %s: remove it, or set XDG_RUNTIME_DIR",
			(unsigned int)st.st_uid, name);
	return gt_fail(err, EACCES, "the folder of sockets is open to others: %s: chmod 700 it", name);
}

static void address(int folder, const char *name, struct sockaddr_un *out)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%.63s", folder, name); /* two numbers */
}

static bool parse_name(const char *name, pid_t *recorder, pid_t *program)
{
	char own[64];
	int one, other;

	if (sscanf(name, "%9d-%9d", &one, &other) != 2 || one <= 0 || other <= 0)
		return false;
	snprintf(own, sizeof(own), "%d-%d", one, other);
	*recorder = one;
	*program = other;
	return strcmp(own, name) == 0;
}

/* Nobody listens there any more. Both must say so: the pid alone may be of another PID namespace. */
static bool is_stale(int folder, const char *name, pid_t recorder)
{
	struct sockaddr_un where;
	bool stale;
	int fd;

	if (kill(recorder, 0) == 0 || errno != ESRCH)
		return false;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	address(folder, name, &where);
	stale = connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

/* Takes @folder. Adds what is alive behind @count, removes what is not. */
static size_t scan(int folder, const char *path, struct gt_control_peer *peers, size_t count, size_t max)
{
	DIR *dir = fdopendir(folder);
	struct dirent *entry;

	if (!dir) {
		close(folder);
		return count;
	}
	while ((entry = readdir(dir))) {
		pid_t recorder, program;

		if (!parse_name(entry->d_name, &recorder, &program))
			continue;
		if (is_stale(folder, entry->d_name, recorder)) {
			unlinkat(folder, entry->d_name, 0);
		} else if (count < max) {
			peers[count].recorder = recorder;
			peers[count].program = program;
			snprintf(peers[count++].folder, PATH_MAX, "%s", path);
		}
	}
	closedir(dir);
	return count;
}

/* ---- the recorder's side ---- */

struct client {
	int fd; /* -1: free */
	uint32_t number;
	bool asked; /* its answer is being made */
	int64_t since_ns;
};

struct gt_control {
	int folder, listener, epoll;
	bool full; /* nobody is let in until one leaves */
	char name[64];
	uint32_t numbers;
	struct client clients[GT_CONTROL_CLIENTS_MAX];
};

static int watch(const struct gt_control *control, int how, int fd, uint32_t events, uint32_t number)
{
	struct epoll_event event = {.events = events, .data.u32 = number};

	return epoll_ctl(control->epoll, how, fd, &event);
}

static int listen_there(struct gt_control *control)
{
	struct sockaddr_un where;
	mode_t mask = umask(0177);
	int ret;

	address(control->folder, control->name, &where);
	control->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Ours by its number: of a dead gtrace that had the same. */
	unlinkat(control->folder, control->name, 0);
	ret = control->listener < 0 ? -1 : bind(control->listener, (struct sockaddr *)&where, sizeof(where));
	if (ret == 0)
		ret = listen(control->listener, BACKLOG);
	if (ret < 0)
		ret = -errno;
	umask(mask);
	return ret;
}

int gt_control_open(pid_t program, struct gt_control **out, struct gt_error *err)
{
	char names[FOLDERS_MAX][PATH_MAX];
	struct gt_control *control = calloc(1, sizeof(*control));
	struct gt_control_peer peer;
	int ret;

	if (!control)
		return gt_fail(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < GT_CONTROL_CLIENTS_MAX; i++)
		control->clients[i].fd = -1;
	control->listener = control->epoll = -1;
	folders(geteuid(), names);
	ret = control->folder = open_folder(names[0], geteuid(), true, err);
	if (ret < 0) {
		gt_control_close(control);
		return ret;
	}
	ret = dup(control->folder);
	if (ret >= 0)
		scan(ret, names[0], &peer, 0, 0);
	snprintf(control->name, sizeof(control->name), "%d-%d", (int)getpid(), (int)program);
	ret = listen_there(control);
	if (ret == 0) {
		control->epoll = epoll_create1(EPOLL_CLOEXEC);
		if (control->epoll < 0 || watch(control, EPOLL_CTL_ADD, control->listener, EPOLLIN, LISTENER) < 0)
			ret = -errno;
	}
	if (ret < 0) {
		gt_control_close(control);
		return gt_fail(err, -ret, "cannot listen: %s/%d-%d: %s", names[0], (int)getpid(), (int)program,
			strerror(-ret));
	}
	*out = control;
	return 0;
}

int gt_control_fd(const struct gt_control *control)
{
	return control->epoll;
}

static void drop(struct gt_control *control, struct client *client)
{
	/* Not by close alone: a forked child may still have it open. */
	watch(control, EPOLL_CTL_DEL, client->fd, 0, 0);
	close(client->fd);
	client->fd = -1;
	if (control->full)
		watch(control, EPOLL_CTL_MOD, control->listener, EPOLLIN, LISTENER);
	control->full = false;
}

static void say(int fd, bool failed, const char *path, const char *text)
{
	struct gt_control_answer answer = {
		.head = {GT_CONTROL_MAGIC, GT_CONTROL_VERSION, sizeof(answer)},
		.failed = failed,
	};

	snprintf(answer.path, sizeof(answer.path), "%s", path);
	snprintf(answer.text, sizeof(answer.text), "%s", text);
	/* The buffer is empty: it fits, or the client is not worth a wait. */
	send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool is_allowed(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static void let_in(struct gt_control *control)
{
	for (size_t i = 0; i < GT_CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];
		int fd;

		if (client->fd >= 0)
			continue;
		fd = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (!is_allowed(fd)) {
			say(fd, true, "", "the recorder belongs to another user");
			close(fd);
			continue;
		}
		*client = (struct client){
			.fd = fd,
			.number = (control->numbers++ & 0xffffff) << 6 | (uint32_t)i,
			.since_ns = gt_monotonic_ns(),
		};
		if (watch(control, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, client->number) < 0) {
			close(fd);
			client->fd = -1;
		}
	}
	control->full = true;
	for (size_t i = 0; i < GT_CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd < 0)
			control->full = false;
	if (control->full)
		watch(control, EPOLL_CTL_MOD, control->listener, 0, LISTENER);
}

static struct client *find(struct gt_control *control, gt_control_client number)
{
	struct client *client = &control->clients[number & 63];

	if ((number & 63) >= GT_CONTROL_CLIENTS_MAX)
		return NULL;
	return client->fd >= 0 && client->number == number ? client : NULL;
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, 0, size) != NULL;
}

static void hear(struct gt_control *control, struct client *client, gt_control_handler *handler, void *context)
{
	struct gt_control_question question;
	ssize_t size = recv(client->fd, &question, sizeof(question), MSG_DONTWAIT | MSG_TRUNC);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* It left, or goes on talking. */
	if (size <= 0 || client->asked) {
		drop(control, client);
		return;
	}
	if (size >= (ssize_t)sizeof(question.head) && question.head.magic == GT_CONTROL_MAGIC &&
		question.head.version != GT_CONTROL_VERSION) {
		char text[96];

		snprintf(text, sizeof(text), "the recorder speaks version %u, this gtrace %u: use the same gtrace",
			GT_CONTROL_VERSION, question.head.version);
		gt_control_answer(control, client->number, true, "", text);
		return;
	}
	if (size != sizeof(question) || question.head.magic != GT_CONTROL_MAGIC ||
		question.head.size != sizeof(question) || !ends(question.path, sizeof(question.path)) ||
		!ends(question.reason, sizeof(question.reason)) ||
		(question.what != GT_CONTROL_SNAPSHOT && question.what != GT_CONTROL_STATUS)) {
		gt_control_answer(control, client->number, true, "", "the recorder does not understand the question");
		return;
	}
	client->asked = true;
	handler(context, client->number, &question);
}

void gt_control_step(struct gt_control *control, gt_control_handler *handler, void *context)
{
	struct epoll_event events[GT_CONTROL_CLIENTS_MAX + 1];
	int count = epoll_wait(control->epoll, events, GT_CONTROL_CLIENTS_MAX + 1, 0);
	int64_t silent_ns = gt_monotonic_ns() - GT_CONTROL_SILENCE_NS;

	for (int i = 0; i < count; i++) {
		struct client *client;

		if (events[i].data.u32 == LISTENER) {
			let_in(control);
			continue;
		}
		client = find(control, events[i].data.u32);
		if (client)
			hear(control, client, handler, context);
	}
	for (size_t i = 0; i < GT_CONTROL_CLIENTS_MAX; i++) {
		struct client *client = &control->clients[i];

		if (client->fd >= 0 && !client->asked && client->since_ns < silent_ns)
			drop(control, client);
	}
}

void gt_control_answer(
	struct gt_control *control, gt_control_client number, bool failed, const char *path, const char *text)
{
	struct client *client = find(control, number);

	if (!client)
		return;
	say(client->fd, failed, path, text);
	drop(control, client);
}

void gt_control_leave(const struct gt_control *control)
{
	for (size_t i = 0; i < GT_CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			close(control->clients[i].fd);
	if (control->listener >= 0)
		close(control->listener);
	if (control->epoll >= 0)
		close(control->epoll);
	if (control->folder >= 0)
		close(control->folder);
}

void gt_control_close(struct gt_control *control)
{
	if (!control)
		return;
	if (control->listener >= 0)
		unlinkat(control->folder, control->name, 0);
	gt_control_leave(control);
	free(control);
}

/* ---- the client's side ---- */

int gt_control_list(uid_t uid, struct gt_control_peer *peers, size_t max, struct gt_error *err)
{
	char names[FOLDERS_MAX][PATH_MAX];
	size_t name_count = folders(uid, names), count = 0;

	for (size_t i = 0; i < name_count; i++) {
		int folder = open_folder(names[i], uid, false, err);

		if (folder == -ENOENT || folder == -ENOTDIR)
			continue;
		if (folder < 0)
			return folder;
		count = scan(folder, names[i], peers, count, max);
	}
	return (int)count;
}

static void set_timeout(int fd, int how, int64_t ns)
{
	struct timeval time = {.tv_sec = ns / 1000000000, .tv_usec = ns % 1000000000 / 1000};

	if (!time.tv_sec && time.tv_usec < 1000)
		time.tv_usec = 1000; /* 0 would be for ever */
	setsockopt(fd, SOL_SOCKET, how, &time, sizeof(time));
}

static int talk(int fd, const struct gt_control_peer *peer, uid_t uid, struct gt_control_question *question,
	int64_t end_ns, struct gt_control_answer *answer)
{
	struct ucred there;
	socklen_t size = sizeof(there);
	ssize_t got;

	/* Of another PID namespace, the number is another process here. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &there, &size) < 0 || there.uid != uid ||
		there.pid != peer->recorder)
		return -ESRCH;
	question->head = (struct gt_control_head){GT_CONTROL_MAGIC, GT_CONTROL_VERSION, sizeof(*question)};
	if (send(fd, question, sizeof(*question), MSG_NOSIGNAL) < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ESRCH : -errno;
	set_timeout(fd, SO_RCVTIMEO, end_ns - gt_monotonic_ns());
	got = recv(fd, answer, sizeof(*answer), MSG_TRUNC);
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		return -ESRCH;
	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (got < (ssize_t)sizeof(answer->head) || answer->head.magic != GT_CONTROL_MAGIC || got != sizeof(*answer) ||
		!ends(answer->path, sizeof(answer->path)) || !ends(answer->text, sizeof(answer->text)))
		return -EPROTO;
	return 0;
}

int gt_control_ask(const struct gt_control_peer *peer, uid_t uid, struct gt_control_question *question,
	int64_t timeout_ns, struct gt_control_answer *answer)
{
	int64_t end_ns = gt_monotonic_ns() + timeout_ns;
	struct sockaddr_un where;
	char name[64];
	int folder = open_folder(peer->folder, uid, false, NULL), fd, ret;

	if (folder < 0)
		return folder;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		ret = -errno;
		close(folder);
		return ret;
	}
	snprintf(name, sizeof(name), "%d-%d", (int)peer->recorder, (int)peer->program);
	address(folder, name, &where);
	set_timeout(fd, SO_SNDTIMEO, timeout_ns);
	if (connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0)
		ret = errno == ECONNREFUSED || errno == ENOENT ? -ESRCH : errno == EINPROGRESS ? -EAGAIN : -errno;
	else
		ret = talk(fd, peer, uid, question, end_ns, answer);
	close(fd);
	close(folder);
	return ret;
}
