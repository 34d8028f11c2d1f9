/* no_attach.c - stands for libtrace/attend.c, which brings the collector and with it zstd: nobody attaches here. */
#include <gtrace/hooks.h>

bool gt_hook_watch(_Atomic uint32_t *asleep)
{
	(void)asleep;
	return false;
}
