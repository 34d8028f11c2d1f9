/* absent.c - in a library without profiles: there are none, and that is said. */
#include <errno.h>
#include <gtrace/pprof.h>

int gt_profile_cpu_start(gt_profile_write_fn *write, void *ctx, int hz)
{
	return -ENOSYS;
}

int gt_profile_cpu_stop(void)
{
	return -ENOSYS;
}

int gt_profile_write(const char *name, int debug, gt_profile_write_fn *write, void *ctx)
{
	return -ENOENT;
}

size_t gt_profiles(struct gt_profile_info *out, size_t max)
{
	return 0;
}

int gt_profile_snapshot(const char *name, struct gt_profile_snapshot **out)
{
	return -ENOENT;
}

int gt_profile_write_since(const struct gt_profile_snapshot *since, gt_profile_write_fn *write, void *ctx)
{
	return -ENOENT;
}

void gt_profile_snapshot_free(struct gt_profile_snapshot *snapshot)
{
}
