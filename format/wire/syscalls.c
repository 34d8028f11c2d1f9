/* syscalls.c - the kernel's calls that deal with descriptors. */
#include "format/wire/syscalls.h"

unsigned int gt_syscall_fd(uint64_t number)
{
	enum { ARG = GT_SYSCALL_FD_ARG, RESULT = GT_SYSCALL_FD_RESULT };
	static const uint8_t x86_64[] = {
		[0] = ARG,                        /* read */
		[1] = ARG,                        /* write */
		[2] = RESULT,                     /* open */
		[3] = ARG | GT_SYSCALL_FD_CLOSED, /* close */
		[5] = ARG,                        /* fstat */
		[8] = ARG,                        /* lseek */
		[16] = ARG,                       /* ioctl */
		[17] = ARG,
		[18] = ARG,
		[19] = ARG,
		[20] = ARG, /* pread64, pwrite64, readv, writev */
		[32] = ARG | RESULT,
		[33] = ARG | RESULT,                /* dup, dup2 */
		[40] = ARG,                         /* sendfile */
		[41] = RESULT,                      /* socket */
		[42] = ARG | GT_SYSCALL_FD_CHANGED, /* connect */
		[43] = ARG | RESULT,                /* accept */
		[44] = ARG,
		[45] = ARG,
		[46] = ARG,
		[47] = ARG,                         /* sendto, recvfrom, sendmsg, recvmsg */
		[48] = ARG,                         /* shutdown */
		[49] = ARG | GT_SYSCALL_FD_CHANGED, /* bind */
		[50] = ARG | GT_SYSCALL_FD_CHANGED, /* listen */
		[51] = ARG,
		[52] = ARG,
		[54] = ARG,
		[55] = ARG, /* getsockname, getpeername, setsockopt, getsockopt */
		[72] = ARG, /* fcntl */
		[73] = ARG,
		[74] = ARG,
		[75] = ARG, /* flock, fsync, fdatasync */
		[77] = ARG,
		[78] = ARG,    /* ftruncate, getdents */
		[81] = ARG,    /* fchdir */
		[85] = RESULT, /* creat */
		[91] = ARG,
		[93] = ARG,     /* fchmod, fchown */
		[138] = ARG,    /* fstatfs */
		[213] = RESULT, /* epoll_create */
		[217] = ARG,    /* getdents64 */
		[221] = ARG,    /* fadvise64 */
		[232] = ARG,
		[233] = ARG,    /* epoll_wait, epoll_ctl */
		[257] = RESULT, /* openat */
		[275] = ARG,
		[277] = ARG, /* splice, sync_file_range */
		[281] = ARG, /* epoll_pwait */
		[283] = RESULT,
		[284] = RESULT,       /* timerfd_create, eventfd */
		[285] = ARG,          /* fallocate */
		[288] = ARG | RESULT, /* accept4 */
		[290] = RESULT,
		[291] = RESULT,       /* eventfd2, epoll_create1 */
		[292] = ARG | RESULT, /* dup3 */
		[294] = RESULT,       /* inotify_init1 */
		[295] = ARG,
		[296] = ARG, /* preadv, pwritev */
		[299] = ARG,
		[306] = ARG,
		[307] = ARG,    /* recvmmsg, syncfs, sendmmsg */
		[319] = RESULT, /* memfd_create */
		[326] = ARG,
		[327] = ARG,
		[328] = ARG, /* copy_file_range, preadv2, pwritev2 */
		[434] = RESULT,
		[437] = RESULT, /* pidfd_open, openat2 */
		[441] = ARG,    /* epoll_pwait2 */
	};

	return number < sizeof(x86_64) ? x86_64[number] : 0;
}
