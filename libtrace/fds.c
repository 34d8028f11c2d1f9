/* fds.c - names of descriptors, from /proc. */
#include "libtrace/fds.h"

#include "base/clock.h"
#include "format/wire/syscalls.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKETS_FREE_NS 200000000ll
#define FDS_KNOWN_MAX   65536u
/* Of the kernel's lists. */
#define STATE_CLOSED  7
#define STATE_LISTENS 10

void gt_fds_free(struct gt_fds *fds)
{
	free(fds->entries);
	free(fds->sockets);
	gt_map_free(&fds->known);
	gt_map_free(&fds->told);
	memset(fds, 0, sizeof(*fds));
}

void gt_fds_again(struct gt_fds *fds)
{
	gt_map_free(&fds->told);
	memset(&fds->told, 0, sizeof(fds->told));
}

/* ---- sockets ---- */

/* "0100007F:1F90", each 32 bits of the address as the machine has them. */
static void put_address(const char *text, bool v6, char out[64])
{
	char address[INET6_ADDRSTRLEN] = "?";
	uint32_t words[4] = {0};
	unsigned int port = 0;

	for (int i = 0; i < (v6 ? 4 : 1); i++, text += 8)
		if (sscanf(text, "%8" SCNx32, &words[i]) != 1)
			break;
	if (*text == ':')
		sscanf(text + 1, "%4x", &port);
	inet_ntop(v6 ? AF_INET6 : AF_INET, words, address, sizeof(address));
	snprintf(out, 64, v6 ? "[%s]:%u" : "%s:%u", address, port);
}

/* A line of /proc/PID/net/tcp and the like: sl local remote st queues timer retransmissions uid timeout inode. */
static bool inet_line(const char *line, const char *kind, struct gt_fd_socket *out)
{
	out->kind = kind;
	return sscanf(line, " %*[^:]: %39s %39s %x %*s %*s %*s %*s %*s %" SCNu64, out->local, out->remote, &out->state,
		       &out->inode) == 4 &&
	       out->inode;
}

static void inet_name(const struct gt_fd_socket *socket, char out[GT_FD_NAME_BYTES])
{
	bool v6 = strchr(socket->kind, '6') != NULL;
	char from[64], to[64];

	put_address(socket->local, v6, from);
	put_address(socket->remote, v6, to);
	if (strcmp(strrchr(to, ':'), ":0") == 0)
		snprintf(out, GT_FD_NAME_BYTES, "%s%s %.60s", socket->kind,
			socket->state == STATE_LISTENS ? " listening at" : "", from);
	else
		snprintf(out, GT_FD_NAME_BYTES, "%s %.50s -> %.50s", socket->kind, from, to);
}

/* Those of a list that will not change their addresses any more are kept: of many connections each need not be looked for alone. */
static void keep_socket(struct gt_fds *fds, const struct gt_fd_socket *socket)
{
	if (!fds->sockets)
		fds->sockets = calloc(GT_FD_SOCKETS_MAX, sizeof(*fds->sockets));
	if (fds->sockets && fds->socket_count < GT_FD_SOCKETS_MAX && strncmp(socket->kind, "tcp", 3) == 0 &&
		socket->state != STATE_CLOSED)
		fds->sockets[fds->socket_count++] = *socket;
}

static bool kept_socket(const struct gt_fds *fds, uint64_t inode, char out[GT_FD_NAME_BYTES])
{
	for (size_t i = 0; i < fds->socket_count; i++)
		if (fds->sockets[i].inode == inode) {
			inet_name(&fds->sockets[i], out);
			return true;
		}
	return false;
}

static bool unix_line(const char *line, uint64_t wanted, char out[GT_FD_NAME_BYTES])
{
	char path[108] = "";
	uint64_t inode;

	if (sscanf(line, "%*s %*s %*s %*s %*s %*s %" SCNu64 " %107[^\n]", &inode, path) < 1 || inode != wanted)
		return false;
	snprintf(out, GT_FD_NAME_BYTES, "unix%s%.107s", *path ? " " : "", path);
	return true;
}

/* Reading the lists takes longer the more sockets there are: no more than a fiftieth of the time goes into it. */
static bool may_look(struct gt_fds *fds, int64_t now)
{
	if (!fds->sockets_since)
		fds->sockets_since = now;
	return fds->sockets_ns < SOCKETS_FREE_NS + (now - fds->sockets_since) / 50;
}

static void name_socket(struct gt_fds *fds, pid_t pid, uint64_t inode, char out[GT_FD_NAME_BYTES])
{
	static const char *const kinds[] = {"tcp", "tcp6", "udp", "udp6", "unix"};
	int64_t begin = gt_monotonic_ns();
	char path[64], line[512];
	bool found = false;

	snprintf(out, GT_FD_NAME_BYTES, "socket");
	if (kept_socket(fds, inode, out) || !may_look(fds, begin))
		return;
	fds->socket_count = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !found; i++) {
		struct gt_fd_socket socket;
		FILE *in;

		snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, kinds[i]);
		in = fopen(path, "re");
		while (in && fgets(line, sizeof(line), in)) {
			if (i == 4) {
				found = found || unix_line(line, inode, out);
			} else if (inet_line(line, kinds[i], &socket)) {
				keep_socket(fds, &socket);
				if (socket.inode == inode)
					inet_name(&socket, out);
				found = found || socket.inode == inode;
			}
		}
		if (in)
			fclose(in);
	}
	fds->sockets_ns += gt_monotonic_ns() - begin;
}

/* False: there is no such descriptor (any more). */
static bool look_up(struct gt_fds *fds, pid_t pid, uint64_t fd, char out[GT_FD_NAME_BYTES])
{
	char path[64], target[4096];
	uint64_t inode;
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%d/fd/%" PRIu64, (int)pid, fd);
	size = readlink(path, target, sizeof(target) - 1);
	if (size <= 0)
		return false;
	target[size] = '\0';
	if (sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1)
		name_socket(fds, pid, inode, out);
	else if (strncmp(target, "anon_inode:", 11) == 0)
		snprintf(out, GT_FD_NAME_BYTES, "%.100s", target + 11);
	else if ((size_t)size < GT_FD_NAME_BYTES)
		memcpy(out, target, (size_t)size + 1);
	else /* the end tells more */
		snprintf(out, GT_FD_NAME_BYTES, "...%.124s", target + size - (GT_FD_NAME_BYTES - 4));
	return true;
}

/* ---- entries ---- */

static struct gt_fd_entry *entry_of(const struct gt_fds *fds, uint64_t seal)
{
	return seal >= fds->first && seal < fds->end ? &fds->entries[seal % GT_FDS_MAX] : NULL;
}

const char *gt_fds_name(const struct gt_fds *fds, uint64_t seal)
{
	const struct gt_fd_entry *entry = entry_of(fds, seal);

	return entry ? entry->name : "";
}

static struct gt_fd_entry *new_entry(struct gt_fds *fds, pid_t pid, uint64_t fd, uint64_t ticks)
{
	struct gt_fd_entry *entry;
	char name[GT_FD_NAME_BYTES] = "";

	if (!fds->entries)
		fds->entries = calloc(GT_FDS_MAX, sizeof(*fds->entries));
	if (!fds->entries || fds->known.count > FDS_KNOWN_MAX)
		return NULL;
	look_up(fds, pid, fd, name);
	if (fds->end - fds->first == GT_FDS_MAX)
		fds->first++;
	entry = &fds->entries[fds->end % GT_FDS_MAX];
	*entry = (struct gt_fd_entry){.fd = fd, .since = ticks, .seal = fds->end++};
	memcpy(entry->name, name, sizeof(name));
	return gt_map_put(&fds->known, fd, entry->seal + 1) < 0 ? NULL : entry;
}

/* The name in force at @ticks: the last one since before, or the first that was found at all. */
static struct gt_fd_entry *entry_at(struct gt_fds *fds, uint64_t fd, uint64_t ticks)
{
	struct gt_fd_entry *found = NULL;

	for (uint64_t seal = fds->first; seal < fds->end; seal++) {
		struct gt_fd_entry *entry = entry_of(fds, seal);

		if (entry->fd == fd && (!found || entry->since <= ticks))
			found = entry;
	}
	return found;
}

/* @fd is used at @ticks: its entry, which is looked up when it must be. */
static struct gt_fd_entry *use(struct gt_fds *fds, pid_t pid, uint64_t fd, uint64_t ticks)
{
	const uint64_t *known = gt_map_find(&fds->known, fd);
	struct gt_fd_entry *entry = known && *known ? entry_of(fds, *known - 1) : NULL;

	if (fds->replay) {
		const uint64_t *told = gt_map_find(&fds->told, fd);

		/* Most descriptors are one thing for their time. */
		if (!entry || entry->since > ticks || !told || *told != entry->seal + 1)
			entry = entry_at(fds, fd, ticks);
		return entry || known ? entry : new_entry(fds, pid, fd, ticks);
	}
	return entry ? entry : new_entry(fds, pid, fd, ticks);
}

static void forget(struct gt_fds *fds, uint64_t fd)
{
	if (!fds->replay && gt_map_find(&fds->known, fd))
		(void)gt_map_put(&fds->known, fd, 0);
}

bool gt_fds_event(struct gt_fds *fds, pid_t pid, const struct gt_event *event, struct gt_event *name)
{
	struct gt_fd_entry *entry, *before;
	unsigned int how = 0;
	const uint64_t *told;
	uint64_t fd;

	if (!pid)
		return false;
	switch (event->kind) {
	case GT_EV_SYSCALL_INFO:
	case GT_EV_SYSCALL_LONG:
		how = gt_syscall_fd(event->args[1]);
		fd = event->args[2];
		if (!(how & GT_SYSCALL_FD_ARG))
			return false;
		break;
	case GT_EV_SYSCALL_RESULT:
		fd = event->args[2];
		if (event->args[3] || !(gt_syscall_fd(event->args[1]) & GT_SYSCALL_FD_RESULT))
			return false;
		forget(fds, fd);
		break;
	case GT_EV_WAITS_ON:
		fd = event->args[2];
		if (event->args[1] < GT_OBJECT_FD_READ || event->args[1] > GT_OBJECT_FD_CONNECT)
			return false;
		break;
	default:
		return false;
	}
	if (fd > INT32_MAX)
		return false;
	entry = use(fds, pid, fd, event->ticks);
	if (how & (GT_SYSCALL_FD_CLOSED | GT_SYSCALL_FD_CHANGED))
		forget(fds, fd);
	told = gt_map_find(&fds->told, fd);
	before = told && *told ? entry_of(fds, *told - 1) : NULL;
	if (!entry || entry == before || (!told && !*entry->name))
		return false;
	if (gt_map_put(&fds->told, fd, entry->seal + 1) < 0 || (before && strcmp(before->name, entry->name) == 0))
		return false;
	*name = (struct gt_event){.kind = GT_EV_FD_NAME, .ticks = event->ticks, .args = {fd, entry->seal}};
	return true;
}
